/* so_nojvmti - preloaded beside the library, it makes a JVM one without JVMTI.
 *
 * It exports JNI_GetCreatedJavaVMs and hands out the true VM behind a table whose GetEnv refuses
 * every JVMTI version, as a VM built without it does.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stddef.h>

#define JNI_OK 0
#define JNI_ERR (-1)
#define JNI_EVERSION (-3)
#define JVMTI_VERSIONS 0x30000000

/* JNIInvokeInterface_ of jni.h: VMs are pointers to a pointer to it. */
struct invoke_interface {
	void *reserved[3];
	void *destroy, *attach, *detach;
	int (*get_env)(const struct invoke_interface **vm, void **env, int version);
	void *attach_as_daemon;
};

typedef int get_vms_fn(const struct invoke_interface ***vms, int room, int *count);

get_vms_fn JNI_GetCreatedJavaVMs;

static const struct invoke_interface **true_vm;

static int get_env(const struct invoke_interface **vm, void **env, int version)
{
	(void)vm;
	if (version & JVMTI_VERSIONS) {
		*env = NULL;
		return JNI_EVERSION;
	}
	return (*true_vm)->get_env(true_vm, env, version);
}

int JNI_GetCreatedJavaVMs(const struct invoke_interface ***vms, int room, int *count)
{
	static struct invoke_interface table;
	static const struct invoke_interface *without = &table;
	void *libjvm = dlopen("libjvm.so", RTLD_LAZY | RTLD_NOLOAD);
	get_vms_fn *real = libjvm ? (get_vms_fn *)dlsym(libjvm, "JNI_GetCreatedJavaVMs") : NULL;
	if (!real)
		return JNI_ERR;
	int result = real(&true_vm, 1, count);
	if (result != JNI_OK || *count == 0 || room < 1)
		return result;
	table = **true_vm;
	table.get_env = get_env;
	vms[0] = &without;
	return JNI_OK;
}
