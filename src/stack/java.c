#include "stack/java.h"

#include <dlfcn.h>
#include <errno.h>
#include <jvmti.h>
#include <link.h>
#include <stdatomic.h>
#include <string.h>

#include "base/locks.h"
#include "base/log.h"
#include "base/options.h"
#include "base/out.h"
#include "base/sys.h"
#include "stack/blame.h"
#include "stack/loader.h"
#include "stack/names.h"

#include "base/poison.h"

typedef jint JNICALL get_vms_fn(JavaVM **, jsize, jsize *);

static _Atomic(JavaVM *) vm;       /* written by the worker, once */
static _Atomic(jvmtiEnv *) jvmti;  /* taken once, under SL_LOCK_JAVA */
static _Atomic bool is_refused;    /* the VM has no JVMTI for us: never asked again */
static _Atomic uintptr_t vm_start; /* address range of libjvm: written before vm */
static _Atomic uintptr_t vm_end;

static int find_libjvm(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)size;
	(void)context;
	if (strcmp(sl_file_name_of(info->dlpi_name), "libjvm.so") != 0)
		return 0;
	uintptr_t low = UINTPTR_MAX, high = 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		if (segment->p_type != PT_LOAD)
			continue;
		uintptr_t start = info->dlpi_addr + segment->p_vaddr;
		low = start < low ? start : low;
		high = start + segment->p_memsz > high ? start + segment->p_memsz : high;
	}
	atomic_store(&vm_start, low);
	atomic_store(&vm_end, high);
	return 1;
}

static void look(void)
{
	if (!dl_iterate_phdr(find_libjvm, NULL))
		return;
	get_vms_fn *get_vms = (get_vms_fn *)dlsym(RTLD_DEFAULT, "JNI_GetCreatedJavaVMs");
	if (!get_vms) {
		/* Launchers load it RTLD_LOCAL. */
		void *libjvm = dlopen("libjvm.so", RTLD_LAZY | RTLD_NOLOAD);
		get_vms = libjvm ? (get_vms_fn *)dlsym(libjvm, "JNI_GetCreatedJavaVMs") : NULL;
	}
	JavaVM *found = NULL;
	jsize n = 0;
	if (get_vms && get_vms(&found, 1, &n) == JNI_OK && n > 0)
		atomic_store(&vm, found);
}

void sl_java_look(void)
{
	if (atomic_load(&vm) || !sl_loader_enter())
		return;
	look();
	sl_loader_leave();
}

bool sl_java_is_present(void)
{
	return atomic_load(&vm) != NULL;
}

void sl_java_forget(void)
{
	atomic_store(&jvmti, NULL);
	atomic_store(&vm, NULL);
	atomic_store(&is_refused, true);
}

static jvmtiEnv *take_jvmti(JavaVM *java_vm)
{
	jvmtiEnv *env = NULL;
	jvmtiPhase phase;
	/* Only in the live phase: earlier the VM says no, and is asked again at the next socket. */
	if ((*java_vm)->GetEnv(java_vm, (void **)&env, JVMTI_VERSION_1_2) != JNI_OK || !env)
		return NULL;
	if ((*env)->GetPhase(env, &phase) != JVMTI_ERROR_NONE || phase != JVMTI_PHASE_LIVE) {
		(void)(*env)->DisposeEnvironment(env);
		return NULL;
	}
	jvmtiCapabilities wanted = {.can_get_line_numbers = 1, .can_get_source_file_name = 1};
	if ((*env)->AddCapabilities(env, &wanted) != JVMTI_ERROR_NONE)
		sl_log("this JVM gives no line numbers: Java frames are shown without", NULL);
	return env;
}

/* The jvmtiEnv and the thread's JNIEnv. False: not a Java thread, or no JVMTI. */
static bool java_env(jvmtiEnv **ti, JNIEnv **jni)
{
	JavaVM *java_vm = atomic_load_explicit(&vm, memory_order_acquire);
	if (!java_vm || (*java_vm)->GetEnv(java_vm, (void **)jni, JNI_VERSION_1_6) != JNI_OK)
		return false;
	*ti = atomic_load_explicit(&jvmti, memory_order_acquire);
	if (!*ti && !atomic_load(&is_refused)) {
		/* A handler that forks would wait for the lock that this thread holds. */
		uint64_t signals = sl_sys_block_signals();
		if (sl_lock_try(SL_LOCK_JAVA)) {
			*ti = atomic_load(&jvmti);
			if (!*ti)
				*ti = take_jvmti(java_vm);
			atomic_store(&jvmti, *ti);
			sl_lock_release(SL_LOCK_JAVA);
		}
		sl_sys_unblock_signals(signals);
	}
	return *ti != NULL;
}

uint32_t sl_java_capture(const struct sl_guard *g, const void *caller, uint64_t *words,
                         uint32_t limit, bool *is_cut)
{
	(void)g;
	uintptr_t pc = (uintptr_t)caller;
	jvmtiEnv *ti;
	JNIEnv *jni;
	if (pc >= atomic_load(&vm_start) && pc < atomic_load(&vm_end))
		return 0;
	int saved_errno = errno;
	jvmtiFrameInfo frames[limit + 1];
	jint n = 0;
	if (!java_env(&ti, &jni) ||
	    (*ti)->GetStackTrace(ti, NULL, 0, (jint)limit + 1, frames, &n) != JVMTI_ERROR_NONE)
		n = 0;
	errno = saved_errno;
	*is_cut = n > (jint)limit;
	uint32_t kept = *is_cut ? limit : (uint32_t)n;
	for (uint32_t i = 0; i < kept; i++) {
		words[2 * i] = (uint64_t)(uintptr_t)frames[i].method;
		words[2 * i + 1] = (uint64_t)frames[i].location;
	}
	return kept;
}

struct naming {
	jvmtiEnv *ti;
	JNIEnv *jni;
};

/* "Lorg/acme/Client;" to "org.acme.Client". */
static char *class_name_of(const char *signature)
{
	size_t n = strlen(signature);
	if (n < 2 || signature[0] != 'L')
		return sl_arena_text(&sl_ledger_arena, signature, n);
	char *name = sl_arena_text(&sl_ledger_arena, signature + 1, n - 2);
	for (char *c = name; c && *c; c++)
		if (*c == '/')
			*c = '.';
	return name;
}

static int32_t line_at(jvmtiEnv *ti, jmethodID method, jlocation location)
{
	jvmtiLineNumberEntry *table = NULL;
	jint n = 0;
	int32_t line = 0;
	if ((*ti)->GetLineNumberTable(ti, method, &n, &table) != JVMTI_ERROR_NONE)
		return 0;
	/* The entry with the greatest start at or before the location; the table need not be in order. */
	jlocation best = -1;
	for (jint i = 0; i < n; i++)
		if (table[i].start_location <= location && table[i].start_location > best) {
			best = table[i].start_location;
			line = table[i].line_number;
		}
	(void)(*ti)->Deallocate(ti, (unsigned char *)table);
	return line;
}

static void describe_class(const struct naming *with, jmethodID method, struct sl_frame *frame)
{
	jvmtiEnv *ti = with->ti;
	jclass class = NULL;
	char *text = NULL;
	if ((*ti)->GetMethodDeclaringClass(ti, method, &class) != JVMTI_ERROR_NONE)
		return;
	if ((*ti)->GetClassSignature(ti, class, &text, NULL) == JVMTI_ERROR_NONE) {
		frame->class_name = class_name_of(text);
		(void)(*ti)->Deallocate(ti, (unsigned char *)text);
	}
	if ((*ti)->GetSourceFileName(ti, class, &text) == JVMTI_ERROR_NONE) {
		frame->file = sl_arena_text(&sl_ledger_arena, text, strlen(text));
		(void)(*ti)->Deallocate(ti, (unsigned char *)text);
	}
	(*with->jni)->DeleteLocalRef(with->jni, class);
}

static void describe_text(struct sl_frame *frame, jlocation location)
{
	char text[1024];
	struct sl_out out;
	sl_out_init(&out, text, sizeof(text), NULL, NULL);
	sl_out_text(&out, frame->class_name ? frame->class_name : "?");
	sl_out_char(&out, '.');
	sl_out_text(&out, frame->method ? frame->method : "?");
	sl_out_char(&out, '(');
	if (location < 0)
		sl_out_text(&out, "Native Method");
	else
		sl_out_text(&out, frame->file ? frame->file : "Unknown Source");
	if (location >= 0 && frame->file && frame->line > 0) {
		sl_out_char(&out, ':');
		sl_out_unsigned(&out, (uint64_t)frame->line);
	}
	sl_out_char(&out, ')');
	frame->text = sl_arena_text(&sl_ledger_arena, text, out.length);
}

static void describe(uint64_t word, uint64_t second, void *context, struct sl_frame *frame)
{
	const struct naming *with = context;
	jmethodID method = (jmethodID)(uintptr_t)word;
	jlocation location = (jlocation)second;
	char *text = NULL;
	describe_class(with, method, frame);
	if ((*with->ti)->GetMethodName(with->ti, method, &text, NULL, NULL) == JVMTI_ERROR_NONE) {
		frame->method = sl_arena_text(&sl_ledger_arena, text, strlen(text));
		(void)(*with->ti)->Deallocate(with->ti, (unsigned char *)text);
	}
	if (location >= 0)
		frame->line = line_at(with->ti, method, location);
	frame->role = sl_role_of_java(frame, sl_options.app);
	describe_text(frame, location);
}

void sl_java_name_site(const struct sl_guard *g, struct sl_site *site)
{
	struct naming with;
	(void)g;
	int saved_errno = errno;
	if (java_env(&with.ti, &with.jni))
		sl_site_name(site, describe, &with);
	errno = saved_errno;
}

size_t sl_java_thread_name(const struct sl_guard *g, char *name, size_t n)
{
	jvmtiEnv *ti;
	JNIEnv *jni;
	jvmtiThreadInfo info;
	size_t length = 0;
	(void)g;
	int saved_errno = errno;
	if (java_env(&ti, &jni) && (*ti)->GetThreadInfo(ti, NULL, &info) == JVMTI_ERROR_NONE) {
		length = strnlen(info.name, n);
		memcpy(name, info.name, length);
		(void)(*ti)->Deallocate(ti, (unsigned char *)info.name);
		(*jni)->DeleteLocalRef(jni, info.thread_group);
		(*jni)->DeleteLocalRef(jni, info.context_class_loader);
	}
	errno = saved_errno;
	return length;
}
