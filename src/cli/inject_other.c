/* inject_other.c - see inject_machine.h: for machines that nobody has written it for. No process is one that it could be done to. */
#ifndef __x86_64__

#include "cli/inject_machine.h"

#include <errno.h>

bool sl_machine_is_ours(uint16_t elf_machine)
{
	(void)elf_machine;
	return false;
}

const unsigned char *sl_machine_code(size_t *n)
{
	static const unsigned char none[SL_MACHINE_MARK_BYTES];
	*n = sizeof(none);
	return none;
}

const unsigned char *sl_machine_restorer(size_t *n)
{
	return sl_machine_code(n);
}

bool sl_machine_is_signal_frame(int memory, uint64_t address, sl_machine_is_code_fn *is_code,
                                void *context, struct sl_point *point)
{
	(void)memory, (void)address, (void)is_code, (void)context;
	*point = (struct sl_point){.call = -1};
	return true;
}

int sl_machine_read(int tid, struct sl_registers *registers)
{
	(void)tid, (void)registers;
	return -ENOSYS;
}

bool sl_machine_dwarf(const struct sl_registers *registers, struct sl_dwarf_registers *dwarf)
{
	(void)registers, (void)dwarf;
	return false;
}

void sl_machine_point(const struct sl_registers *registers, struct sl_point *point)
{
	(void)registers;
	*point = (struct sl_point){.call = -1};
}

bool sl_machine_is_behind_call(int memory, uint64_t pc)
{
	(void)memory, (void)pc;
	return false;
}

int sl_machine_uninterrupt(int tid)
{
	(void)tid;
	return -ENOSYS;
}

size_t sl_machine_frame_bytes(const struct sl_machine_call *call)
{
	(void)call;
	return 0;
}

int sl_machine_begin(int tid, int memory, const struct sl_registers *registers,
                     struct sl_machine_call *call)
{
	(void)tid, (void)memory, (void)registers, (void)call;
	return -ENOSYS;
}

bool sl_machine_is_over(int memory, const struct sl_machine_call *call, int *result,
                        uint64_t *error_text)
{
	(void)memory, (void)call, (void)result, (void)error_text;
	return false;
}

bool sl_machine_is_inside(const struct sl_machine_call *call, uint64_t pc)
{
	(void)call, (void)pc;
	return false;
}

int sl_machine_finish(int tid, const struct sl_registers *registers,
                      const struct sl_machine_call *call)
{
	(void)tid, (void)registers, (void)call;
	return -ENOSYS;
}

#endif
