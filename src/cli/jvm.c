/* jvm.c - see jvm.h. */
#include "cli/jvm.h"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/jvm_perf.h"
#include "cli/root_file.h"

#define SL_HOTSPOT_SYMBOL \
	"gHotSpotVMStructs" /* what its debuggers look for, in every HotSpot since 1.4 */
#define SL_LOOK_NS 2000000  /* between two looks at threads that start */
#define SL_RELEASE_ABOVE 5  /* folders between libjvm.so and the file `release` */

static bool has_symbol(Elf *elf, Elf_Scn *section, const char *name)
{
	GElf_Shdr head;
	GElf_Sym symbol;
	Elf_Data *data = elf_getdata(section, NULL);
	if (!gelf_getshdr(section, &head) || !data || head.sh_entsize == 0)
		return false;
	const size_t n = head.sh_size / head.sh_entsize;
	for (size_t i = 0; i < n && gelf_getsym(data, (int)i, &symbol); i++) {
		const char *its = elf_strptr(elf, head.sh_link, symbol.st_name);
		if (its && strcmp(its, name) == 0 && symbol.st_shndx != SHN_UNDEF)
			return true;
	}
	return false;
}

/* Takes fd. */
static bool exports(int fd, const char *name)
{
	GElf_Shdr head;
	bool is_found = false;
	if (fd < 0 || elf_version(EV_CURRENT) == EV_NONE)
		return false;
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	for (Elf_Scn *section = NULL; elf && !is_found && (section = elf_nextscn(elf, section));)
		if (gelf_getshdr(section, &head) && head.sh_type == SHT_DYNSYM)
			is_found = has_symbol(elf, section, name);
	(void)elf_end(elf);
	(void)close(fd);
	return is_found;
}

/* A JDK that was upgraded under its VM has another file there, or none: then the VM's own counters are a sign as well. */
static enum sl_jvm_kind kind_of(const struct sl_proc *proc, const struct sl_jvm *jvm)
{
	struct sl_jvm_perf perf;
	if (sl_proc_has_object(proc->pid, "libj9vm29.so", NULL) == 1)
		return SL_JVM_OPENJ9;
	if (exports(sl_root_file_open(proc->pid, jvm->path, true), SL_HOTSPOT_SYMBOL))
		return SL_JVM_HOTSPOT;
	const bool has_counters = sl_jvm_perf_open(proc, &perf);
	sl_jvm_perf_free(&perf);
	return has_counters ? SL_JVM_HOTSPOT : SL_JVM_OTHER;
}

int sl_jvm_major(const char *version)
{
	unsigned first = 0, second = 0;
	const int n = sscanf(version, "%u.%u", &first, &second);
	if (n == 2 && first == 1)
		return (int)second;
	return n >= 1 && first < 1000 ? (int)first : 0;
}

/* JAVA_VERSION="17.0.15" in that file of a JDK's home. */
static bool read_release(int fd, char version[64])
{
	static const char key[] = "JAVA_VERSION=\"";
	char text[4096];
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		(void)close(fd);
	text[n > 0 ? n : 0] = 0;
	const char *at = strstr(text, key);
	if (!at)
		return false;
	at += sizeof(key) - 1;
	(void)snprintf(version, 64, "%.*s", (int)strcspn(at, "\"\n"), at);
	return true;
}

static void find_release(const struct sl_proc *proc, struct sl_jvm *jvm)
{
	char folder[SL_PROC_PATH_BYTES], path[SL_PROC_PATH_BYTES + 16];
	(void)snprintf(folder, sizeof(folder), "%s", jvm->path);
	for (unsigned i = 0; i < SL_RELEASE_ABOVE; i++) {
		char *end = strrchr(folder, '/');
		if (!end)
			return;
		*end = 0;
		(void)snprintf(path, sizeof(path), "%s/release", folder);
		if (read_release(sl_root_file_open(proc->pid, path, true), jvm->version))
			return;
	}
}

/* What the VM tells is of the VM that runs; the file is of the one that is installed. */
static void find_version(const struct sl_proc *proc, struct sl_jvm *jvm)
{
	char text[SL_JVM_PERF_TEXT_BYTES] = "";
	struct sl_jvm_perf perf;
	if (sl_jvm_perf_open(proc, &perf) &&
	    !sl_jvm_perf_text(&perf, "java.property.java.version", text))
		(void)sl_jvm_perf_text(&perf, "java.property.java.vm.specification.version", text);
	sl_jvm_perf_free(&perf);
	(void)snprintf(jvm->version, sizeof(jvm->version), "%.63s", text);
	if (!jvm->version[0])
		find_release(proc, jvm);
	jvm->major = sl_jvm_major(jvm->version);
}

bool sl_jvm_catches_quit(int pid)
{
	char mask[32];
	sl_proc_status_word(pid, "SigCgt", mask, sizeof(mask));
	return strtoull(mask, NULL, 16) >> (SIGQUIT - 1) & 1;
}

static bool has_dispatcher(int pid)
{
	return sl_proc_has_thread(pid, "Signal Dispatch") || !sl_proc_has_thread(pid, "VM Thread");
}

/* A SIGQUIT handler that is the program's own would be surprised by ours: PostgreSQL with a VM in it ends by it. JDK 8 names no thread;
 * later ones name them when they first run, which may be some time after the VM has set its handler. */
bool sl_jvm_has_dispatcher(int pid, unsigned patience_ms)
{
	const struct timespec pause = {.tv_nsec = SL_LOOK_NS};
	const uint64_t until_ms = sl_clock_ms() + patience_ms;
	while (!has_dispatcher(pid)) {
		if (sl_clock_ms() >= until_ms)
			return false;
		(void)nanosleep(&pause, NULL);
	}
	return true;
}

bool sl_jvm_look(const struct sl_proc *proc, struct sl_jvm *jvm)
{
	*jvm = (struct sl_jvm){0};
	if (sl_proc_has_object(proc->pid, "libjvm.so", jvm->path) != 1)
		return false;
	sl_proc_inner_path(proc->pid, jvm->path);
	jvm->kind = kind_of(proc, jvm);
	find_version(proc, jvm);
	jvm->is_musl = sl_proc_has_object(proc->pid, "ld-musl-x86_64.so.1", NULL) == 1 ||
	               sl_proc_has_object(proc->pid, "ld-musl-aarch64.so.1", NULL) == 1;
	jvm->catches_quit = sl_jvm_catches_quit(proc->pid);
	sl_jvm_flags_read(proc, &jvm->flags);
	return true;
}
