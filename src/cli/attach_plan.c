/* attach_plan.c - see attach_plan.h. */
#include "cli/attach_plan.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/attach_jvm.h"
#include "cli/elf_file.h"
#include "cli/inject_target.h"
#include "cli/root_file.h"

int sl_attach_ptrace_scope(void)
{
	int scope = 0;
	FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	if (file && fscanf(file, "%d", &scope) != 1)
		scope = 0;
	if (file)
		(void)fclose(file);
	return scope;
}

static bool may_trace_all(void)
{
	char mask[32];
	sl_proc_status_word(getpid(), "CapEff", mask, sizeof(mask));
	return strtoull(mask, NULL, 16) >> CAP_SYS_PTRACE & 1;
}

/* ptrace(2), "Ptrace access mode checking", and Yama. */
static void check_rights(const struct sl_proc *proc, const char *words,
                         struct sl_attach_refusal *refusal)
{
	const int scope = sl_attach_ptrace_scope();
	/* Root without that capability is root of a container. */
	const char *by = geteuid() == 0 ? "from the host: sockleak" : "sudo sockleak";
	if (scope >= 3)
		sl_attach_refuse(refusal, SL_EXIT_DENIED,
		                 "process %d: kernel.yama.ptrace_scope is %d: nobody can attach to "
		                 "anything until a reboot",
		                 proc->pid, scope);
	else if (may_trace_all())
		return;
	else if (scope >= 1)
		sl_attach_refuse(refusal, SL_EXIT_DENIED,
		                 "process %d: kernel.yama.ptrace_scope is %d, so it takes "
		                 "CAP_SYS_PTRACE; this would be: %s %s",
		                 proc->pid, scope, by, words);
	else if (proc->euid != geteuid() || proc->uid != geteuid())
		sl_attach_refuse(refusal, SL_EXIT_DENIED,
		                 "process %d: it is another user's; this would be: %s %s",
		                 proc->pid, by, words);
}

/* Neither a loader nor a libc; that of glibc before 2.34 is called libc-2.31.so. */
static bool is_static(const struct sl_proc *proc)
{
	char path[64];
	struct sl_elf_file elf;
	(void)snprintf(path, sizeof(path), "/proc/%d/exe", proc->pid);
	const int fd = sl_root_file_open(0, path, true);
	const bool has_no_loader = fd >= 0 && !sl_elf_file_read(fd, &elf) && !elf.interpreter[0];
	if (fd >= 0)
		(void)close(fd);
	return has_no_loader && sl_proc_has_object(proc->pid, "libc.so", NULL) == 0 &&
	       sl_proc_has_object(proc->pid, "libc-2", NULL) == 0;
}

/* The words of the way in itself. */
static void check_program(const struct sl_proc *proc, bool is_forced,
                          struct sl_attach_refusal *refusal)
{
	const struct sl_injection injection = {.pid = proc->pid, .is_forced = is_forced};
	struct sl_injected injected = {0};
	struct sl_target target;
	if (sl_target_refuse(&injection, &target, &injected))
		sl_attach_refuse(refusal, injected.code, "%s", injected.error);
	else if (is_static(proc))
		sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d is linked statically: nothing can be loaded into it; "
		                 "'sockleak report %d' and 'sockleak reap %d' work on it from "
		                 "outside",
		                 proc->pid, proc->pid, proc->pid);
}

/* The loader opens the library's file, unless it is there already. */
static void check_fds(const struct sl_proc *proc, struct sl_attach_refusal *refusal)
{
	if (sl_proc_fds_left(proc->pid) == 0 &&
	    sl_proc_has_object(proc->pid, "libsockleak.so", NULL) == 0)
		sl_attach_refuse(refusal, SL_EXIT_DENIED,
		                 "process %d has no descriptor left, and could not open the "
		                 "library; 'prlimit --nofile=N: --pid %d' raises its limit, or "
		                 "'sockleak reap %d' may make it close some",
		                 proc->pid, proc->pid, proc->pid);
}

void sl_attach_plan(const struct sl_proc *proc, const char *words, bool is_forced,
                    struct sl_attach_plan *plan)
{
	char own[64];
	*plan = (struct sl_attach_plan){0};
	plan->is_jvm = sl_jvm_look(proc, &plan->jvm);
	if (plan->is_jvm) {
		sl_attach_jvm_check(proc, &plan->jvm, words, &plan->refusal);
		return;
	}
	check_program(proc, is_forced, &plan->refusal);
	(void)snprintf(own, sizeof(own), "attach %d", proc->pid);
	if (!plan->refusal.code)
		check_rights(proc, words ? words : own, &plan->refusal);
	if (!plan->refusal.code)
		check_fds(proc, &plan->refusal);
}
