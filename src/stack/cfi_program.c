#include "stack/cfi_program.h"

#include "base/poison.h"

#ifdef __x86_64__

enum { SL_REGISTER_FP = 6, SL_REGISTER_SP = 7, SL_REGISTER_RETURN = SL_CFI_RETURN };

#define SL_REMEMBERED_MAX 4

/* Where a register of the caller is. */
enum place { SL_PLACE_SAME, SL_PLACE_SAVED, SL_PLACE_UNDEFINED, SL_PLACE_OTHER };

/* One row of the table that the programs describe: what holds from some instruction on. */
struct row {
	uint64_t cfa_register;
	int64_t cfa_offset;
	int64_t saved_fp, saved_return; /* offsets, where saved */
	enum place fp, ret;
	bool is_odd; /* the CFA is an expression */
};

struct machine {
	const struct sl_cfi_units *units;
	struct row row, first; /* first: as the common entry leaves it */
	struct row remembered[SL_REMEMBERED_MAX];
	unsigned remembered_count;
	uint64_t at, until; /* instructions */
};

static void place(struct machine *machine, uint64_t number, enum place where, int64_t offset)
{
	if (number == SL_REGISTER_FP) {
		machine->row.fp = where;
		machine->row.saved_fp = offset;
	} else if (number == SL_REGISTER_RETURN) {
		machine->row.ret = where;
		machine->row.saved_return = offset;
	}
}

static void restore(struct machine *machine, uint64_t number)
{
	const struct row *first = &machine->first;
	if (number == SL_REGISTER_FP)
		place(machine, number, first->fp, first->saved_fp);
	else
		place(machine, number, first->ret, first->saved_return);
}

static void define_cfa(struct machine *machine, uint64_t number, int64_t offset)
{
	machine->row.cfa_register = number;
	machine->row.cfa_offset = offset;
	machine->row.is_odd = false;
}

static void advance(struct machine *machine, uint64_t units)
{
	machine->at += units * machine->units->code;
}

static void remember(struct machine *machine, struct sl_cfi_bytes *program)
{
	if (machine->remembered_count == SL_REMEMBERED_MAX)
		program->is_bad = true;
	else
		machine->remembered[machine->remembered_count++] = machine->row;
}

static void recall(struct machine *machine, struct sl_cfi_bytes *program)
{
	if (machine->remembered_count == 0)
		program->is_bad = true;
	else
		machine->row = machine->remembered[--machine->remembered_count];
}

/* Those whose number is not in the byte itself; DWARF 5, 7.24. */
static void run_extended(struct machine *machine, struct sl_cfi_bytes *program, uint8_t code)
{
	const int64_t unit = machine->units->data;
	uint64_t number;
	switch (code) {
	case 0x00: /* nop */
		break;
	case 0x02: /* advance_loc1, 2, 4 */
		advance(machine, sl_cfi_take_byte(program));
		break;
	case 0x03:
		advance(machine, sl_cfi_take_2(program));
		break;
	case 0x04:
		advance(machine, sl_cfi_take_4(program));
		break;
	case 0x05: /* offset_extended */
		number = sl_cfi_take_unsigned(program);
		place(machine, number, SL_PLACE_SAVED,
		      (int64_t)sl_cfi_take_unsigned(program) * unit);
		break;
	case 0x06: /* restore_extended */
		restore(machine, sl_cfi_take_unsigned(program));
		break;
	case 0x07: /* undefined */
		place(machine, sl_cfi_take_unsigned(program), SL_PLACE_UNDEFINED, 0);
		break;
	case 0x08: /* same_value */
		place(machine, sl_cfi_take_unsigned(program), SL_PLACE_SAME, 0);
		break;
	case 0x09: /* register */
	case 0x14: /* val_offset */
		number = sl_cfi_take_unsigned(program);
		(void)sl_cfi_take_unsigned(program);
		place(machine, number, SL_PLACE_OTHER, 0);
		break;
	case 0x0a: /* remember_state */
		remember(machine, program);
		break;
	case 0x0b: /* restore_state */
		recall(machine, program);
		break;
	case 0x0c: /* def_cfa */
		number = sl_cfi_take_unsigned(program);
		define_cfa(machine, number, (int64_t)sl_cfi_take_unsigned(program));
		break;
	case 0x0d: /* def_cfa_register */
		machine->row.cfa_register = sl_cfi_take_unsigned(program);
		break;
	case 0x0e: /* def_cfa_offset */
		machine->row.cfa_offset = (int64_t)sl_cfi_take_unsigned(program);
		break;
	case 0x0f: /* def_cfa_expression */
		sl_cfi_skip(program, sl_cfi_take_unsigned(program));
		machine->row.is_odd = true;
		break;
	case 0x10: /* expression */
	case 0x16: /* val_expression */
		number = sl_cfi_take_unsigned(program);
		sl_cfi_skip(program, sl_cfi_take_unsigned(program));
		place(machine, number, SL_PLACE_OTHER, 0);
		break;
	case 0x11: /* offset_extended_sf */
		number = sl_cfi_take_unsigned(program);
		place(machine, number, SL_PLACE_SAVED, sl_cfi_take_signed(program) * unit);
		break;
	case 0x2e: /* GNU_args_size */
		(void)sl_cfi_take_unsigned(program);
		break;
	default:
		program->is_bad = true;
	}
}

/* Up to the instruction that is asked for. False: there is something that is not understood. */
static bool run(struct machine *machine, struct sl_cfi_bytes program)
{
	while (program.at < program.end && machine->at <= machine->until && !program.is_bad) {
		uint8_t code = sl_cfi_take_byte(&program), low = code & 0x3f;
		if (code >> 6 == 1)
			advance(machine, low);
		else if (code >> 6 == 2)
			place(machine, low, SL_PLACE_SAVED,
			      (int64_t)sl_cfi_take_unsigned(&program) * machine->units->data);
		else if (code >> 6 == 3)
			restore(machine, low);
		else
			run_extended(machine, &program, code);
	}
	return !program.is_bad;
}

static bool is_stack_offset(int64_t offset)
{
	return offset > 0 && offset <= INT32_MAX && offset % 8 == 0;
}

/* The row as a rule, where it is of the pattern. */
static struct sl_cfi_rule rule_of(const struct row *row)
{
	struct sl_cfi_rule rule = {.kind = SL_CFI_OTHER};
	if (row->ret == SL_PLACE_UNDEFINED) {
		rule.kind = SL_CFI_END;
		return rule;
	}
	if (row->is_odd || row->ret != SL_PLACE_SAVED || row->saved_return != -8 ||
	    !is_stack_offset(row->cfa_offset))
		return rule;
	if (row->fp == SL_PLACE_SAVED) {
		if (row->saved_fp >= -8 || row->saved_fp < INT16_MIN || row->saved_fp % 8 != 0)
			return rule;
		rule.saved_fp = (int16_t)row->saved_fp;
	} else if (row->fp != SL_PLACE_SAME) {
		return rule;
	}
	rule.cfa_offset = (int32_t)row->cfa_offset;
	if (row->cfa_register == SL_REGISTER_SP)
		rule.kind = SL_CFI_FROM_SP;
	else if (row->cfa_register == SL_REGISTER_FP)
		rule.kind = SL_CFI_FROM_FP;
	return rule;
}

bool sl_cfi_program_run(const struct sl_cfi_units *units, struct sl_cfi_bytes common,
                        struct sl_cfi_bytes own, uint64_t until, struct sl_cfi_rule *rule)
{
	struct machine machine = {.units = units, .until = until};
	if (!run(&machine, common))
		return false;
	machine.first = machine.row;
	if (!run(&machine, own))
		return false;
	*rule = rule_of(&machine.row);
	return true;
}

#endif
