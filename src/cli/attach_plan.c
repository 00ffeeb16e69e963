/* attach_plan.c - see attach_plan.h. */
#include "cli/attach_plan.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/attach_jvm.h"
#include "cli/elf_file.h"
#include "cli/root_file.h"

#define SL_FROM_OUTSIDE "'sockleak report' and 'reap' work from outside"

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

/* ptrace(2), "Ptrace access mode checking", and Yama. */
static void check_rights(const struct sl_proc *proc, const char *words,
                         struct sl_attach_refusal *refusal)
{
	const int scope = sl_attach_ptrace_scope();
	if (proc->tracer)
		sl_attach_refuse(refusal, SL_EXIT_DENIED,
		                 "process %d is traced by process %d, and nobody else can then; "
		                 "afterwards: sockleak %s",
		                 proc->pid, proc->tracer, words);
	else if (scope >= 3)
		sl_attach_refuse(refusal, SL_EXIT_DENIED,
		                 "process %d: kernel.yama.ptrace_scope is %d: nobody can attach to "
		                 "anything until a reboot",
		                 proc->pid, scope);
	else if (geteuid() != 0 && scope >= 1)
		sl_attach_refuse(refusal, SL_EXIT_DENIED,
		                 "process %d: kernel.yama.ptrace_scope is %d, so it takes "
		                 "CAP_SYS_PTRACE; this would be: sudo sockleak %s",
		                 proc->pid, scope, words);
	else if (geteuid() != 0 && (proc->euid != geteuid() || proc->uid != geteuid()))
		sl_attach_refuse(
			refusal, SL_EXIT_DENIED,
			"process %d: it is another user's; this would be: sudo sockleak %s",
			proc->pid, words);
}

static void check_program(const struct sl_proc *proc, struct sl_attach_refusal *refusal)
{
	char path[64];
	struct sl_elf_file elf;
	(void)snprintf(path, sizeof(path), "/proc/%d/exe", proc->pid);
	const int fd = sl_root_file_open(0, path, true);
	const int error = fd < 0 ? fd : sl_elf_file_read(fd, &elf);
	if (fd >= 0)
		(void)close(fd);
	if (error)
		return; /* nothing is known */
	if (elf.is_go)
		sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d is a Go program, which makes its system calls "
		                 "itself; " SL_FROM_OUTSIDE,
		                 proc->pid);
	else if (!elf.interpreter[0] && sl_proc_has_object(proc->pid, "libc.so", NULL) != 1)
		sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d is linked statically: nothing can be loaded into "
		                 "it; " SL_FROM_OUTSIDE,
		                 proc->pid);
	else if (strstr(elf.interpreter, "ld-musl"))
		sl_attach_refuse(refusal, SL_EXIT_NO_LIBRARY,
		                 "process %d: its libc is musl, the library needs "
		                 "glibc; " SL_FROM_OUTSIDE,
		                 proc->pid);
}

void sl_attach_plan(const struct sl_proc *proc, const char *words, struct sl_attach_plan *plan)
{
	char own[64];
	*plan = (struct sl_attach_plan){0};
	plan->is_jvm = sl_jvm_look(proc, &plan->jvm);
	if (plan->is_jvm) {
		sl_attach_jvm_check(proc, &plan->jvm, words, &plan->refusal);
		return;
	}
	check_program(proc, &plan->refusal);
	(void)snprintf(own, sizeof(own), "attach %d", proc->pid);
	if (!plan->refusal.code)
		check_rights(proc, words ? words : own, &plan->refusal);
}
