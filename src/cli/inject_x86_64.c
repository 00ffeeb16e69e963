/* inject_x86_64.c - see inject_machine.h.
 *
 * What a thread on its way into the call sees, from high addresses to low:
 *
 *     sp             as it was when the thread was held
 *     sp - 128       the red zone ends: the thread's own
 *     sp - 136       where it goes on
 *     ...            its registers, in the order in which the code pops them
 *     ...            text: library, function, options
 *     ...            room for the vector registers, aligned to 64
 *     frame          struct frame; the stack pointer during the call
 *
 * All of it is written before the thread is sent into the code, which takes one request: the kernel sets all registers or none.
 * Between them and the first instruction a signal may be handled, below the frame, and returns. The last instruction, "ret $128",
 * leaves the frame and goes on in one step, so that at no instant lies anything that is needed below the stack pointer.
 */
#ifdef __x86_64__

#include "cli/inject_machine.h"

#include <cpuid.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>

#include "cli/inject_calls.h"
#include "cli/inject_maps.h"

#define SL_RED_ZONE_BYTES 128
#define SL_FXSAVE_BYTES 512
#define SL_XSAVE_HEADER_BYTES 64
#define SL_FLAGS 0x202u /* interrupts on, the direction flag off */
#define SL_CODE_64 0x33u
#define SL_GNU_SETXID 33

/* What the code reads; the offsets stand in it. */
struct frame {
	uint64_t blocked;        /*   0: signals during the call */
	uint64_t mask;           /*   8: signals as they were */
	uint64_t errno_location; /*  16 */
	uint64_t dlopen;         /*  24 */
	uint64_t dlsym;          /*  32 */
	uint64_t dlerror;        /*  40: or 0 */
	uint64_t library;        /*  48 */
	uint64_t function;       /*  56 */
	uint64_t options;        /*  64: or 0 */
	uint64_t registers;      /*  72: where they are popped from */
	uint64_t vectors;        /*  80: where xsave puts them */
	uint64_t has_xsave;      /*  88 */
	uint64_t mode;           /*  96: of dlopen() */
	uint64_t is_over;        /* 104: the call is, and what follows is its outcome */
	uint64_t result;         /* 112 */
	uint64_t error_text;     /* 120: or 0 */
	uint64_t pause[2];       /* 128: a struct timespec */
};

/* As the code pops them; lies at the end, below the place to go on. */
struct popped {
	uint64_t flags, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rbp, rbx, rax;
	uint64_t pc; /* taken by ret */
};

__asm__(".pushsection .rodata, \"a\", @progbits\n"
        ".balign 16\n"
        "sl_inject_code:\n"
        ".ascii \"sockleak\"\n" /* the mark */
        "sl_inject_entry:\n"
        /* No signal is handled from here on. */
        "  movl $14, %eax\n" /* rt_sigprocmask */
        "  movl $2, %edi\n"  /* SIG_SETMASK */
        "  movq %rbx, %rsi\n"
        "  xorl %edx, %edx\n"
        "  movl $8, %r10d\n"
        "  syscall\n"
        "  movq 80(%rbx), %r15\n"
        "  cmpq $0, 88(%rbx)\n"
        "  je 1f\n"
        "  movl $-1, %eax\n"
        "  movl $-1, %edx\n"
        "  xsave64 (%r15)\n"
        "  jmp 2f\n"
        "1:\n"
        "  fxsave64 (%r15)\n"
        "2:\n"
        "  call *16(%rbx)\n"
        "  movq %rax, %r14\n"
        "  movl (%rax), %r15d\n"
        "  movq 48(%rbx), %rdi\n"
        "  movl 96(%rbx), %esi\n"
        "  call *24(%rbx)\n" /* dlopen */
        "  movq $-1, %rbp\n"
        "  testq %rax, %rax\n"
        "  jz 3f\n"
        "  movq %rax, %rdi\n"
        "  movq 56(%rbx), %rsi\n"
        "  call *32(%rbx)\n" /* dlsym */
        "  testq %rax, %rax\n"
        "  jz 3f\n"
        "  movq 64(%rbx), %rdi\n"
        "  call *%rax\n"
        "  movslq %eax, %rbp\n"
        "  xorl %r13d, %r13d\n"
        "  jmp 4f\n"
        "3:\n"
        "  xorl %r13d, %r13d\n"
        "  cmpq $0, 40(%rbx)\n"
        "  je 4f\n"
        "  call *40(%rbx)\n" /* dlerror */
        "  movq %rax, %r13\n"
        "4:\n"
        "  movl %r15d, (%r14)\n"
        "  movq 80(%rbx), %r15\n"
        "  movl $-1, %eax\n"
        "  movl $-1, %edx\n"
        "  cmpq $0, 88(%rbx)\n"
        "  je 5f\n"
        "  xrstor64 (%r15)\n"
        "  jmp 6f\n"
        "5:\n"
        "  fxrstor64 (%r15)\n"
        "6:\n"
        "  movq %rbp, 112(%rbx)\n"
        "  movq %r13, 120(%rbx)\n"
        "  movq $1, 104(%rbx)\n"
        /* Here it is fetched, and never sees what follows. Nobody there for a second: it finds its way itself. Not poll() nor
         * a futex: they would overwrite what the kernel keeps of an interrupted sleep. */
        "  movl $50, %ebp\n"
        "7:\n"
        "  movq $0, 128(%rbx)\n"
        "  movq $20000000, 136(%rbx)\n"
        "  movl $271, %eax\n" /* ppoll */
        "  xorl %edi, %edi\n"
        "  xorl %esi, %esi\n"
        "  leaq 128(%rbx), %rdx\n"
        "  xorl %r10d, %r10d\n"
        "  movl $8, %r8d\n"
        "  syscall\n"
        "  decl %ebp\n"
        "  jnz 7b\n"
        "  movl $14, %eax\n"
        "  movl $2, %edi\n"
        "  leaq 8(%rbx), %rsi\n"
        "  xorl %edx, %edx\n"
        "  movl $8, %r10d\n"
        "  syscall\n"
        "  movq 72(%rbx), %rsp\n"
        "  popfq\n"
        "  popq %r15\n"
        "  popq %r14\n"
        "  popq %r13\n"
        "  popq %r12\n"
        "  popq %r11\n"
        "  popq %r10\n"
        "  popq %r9\n"
        "  popq %r8\n"
        "  popq %rdi\n"
        "  popq %rsi\n"
        "  popq %rdx\n"
        "  popq %rcx\n"
        "  popq %rbp\n"
        "  popq %rbx\n"
        "  popq %rax\n"
        "  ret $128\n"
        "sl_inject_code_end:\n"
        ".popsection\n");

extern const unsigned char sl_inject_code[], sl_inject_entry[], sl_inject_code_end[];

/* Of a place in the code from its begin. */
static size_t offset_of(const unsigned char *place)
{
	return (uintptr_t)place - (uintptr_t)sl_inject_code;
}

bool sl_machine_is_ours(uint16_t elf_machine)
{
	return elf_machine == EM_X86_64;
}

const unsigned char *sl_machine_code(size_t *n)
{
	*n = offset_of(sl_inject_code_end);
	return sl_inject_code;
}

const unsigned char *sl_machine_restorer(size_t *n)
{
	/* mov $15 (rt_sigreturn), %rax; syscall: __restore_rt of glibc, which unwinders know by these bytes too */
	static const unsigned char bytes[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
	*n = sizeof(bytes);
	return bytes;
}

static bool is_call(int memory, uint64_t address)
{
	unsigned char bytes[2];
	return sl_memory_read(memory, address, bytes, sizeof(bytes)) && bytes[0] == 0x0f &&
	       bytes[1] == 0x05;
}

/* The number of the system call that the code before `pc` makes; -1: it does not say. */
static int64_t read_number(int memory, uint64_t pc)
{
	uint8_t code[8]; /* mov $number, %eax; syscall */
	int32_t number;
	if (!is_call(memory, pc - 2) ||
	    !sl_memory_read(memory, pc - sizeof(code), code, sizeof(code)))
		return -1;
	if (code[4] == 0x31 && code[5] == 0xc0) /* xor %eax, %eax */
		return 0;
	memcpy(&number, code + 2, sizeof(number));
	/* Behind 0x41 it would be another register. */
	return code[1] == 0xb8 && code[0] != 0x41 ? number : -1;
}

/* A call that is to be begun again has its number in rax; one that has ended has its result there. */
static void read_interrupted(int memory, const greg_t *registers, struct sl_point *point)
{
	*point = (struct sl_point){
		.call = -1,
		.arguments = {(uint64_t)registers[REG_RDI], (uint64_t)registers[REG_RSI],
	                      (uint64_t)registers[REG_RDX], (uint64_t)registers[REG_R10],
	                      (uint64_t)registers[REG_R8], (uint64_t)registers[REG_R9]},
		.result = registers[REG_RAX],
		.pc = (uint64_t)registers[REG_RIP],
		.sp = (uint64_t)registers[REG_RSP],
	};
	if (is_call(memory, point->pc))
		point->call = registers[REG_RAX];
	else
		point->call = read_number(memory, point->pc);
}

bool sl_machine_is_signal_frame(int memory, uint64_t address, sl_machine_is_code_fn *is_code,
                                void *context, struct sl_point *point)
{
	struct {
		uint64_t restorer;
		ucontext_t context;
	} frame;
	/* The kernel's ucontext has a shorter signal mask: what is looked at lies before it. */
	const size_t n = offsetof(ucontext_t, uc_sigmask) + sizeof(uint64_t);
	if (!sl_memory_read(memory, address + sizeof(frame.restorer), &frame.context, n))
		return false;
	const greg_t *registers = frame.context.uc_mcontext.gregs;
	if (frame.context.uc_link || ((uint64_t)registers[REG_CSGSFS] & 0xffff) != SL_CODE_64 ||
	    !is_code(context, (uint64_t)registers[REG_RIP]))
		return false;
	read_interrupted(memory, registers, point);
	return true;
}

int sl_machine_read(int tid, struct sl_registers *registers)
{
	return ptrace(PTRACE_GETREGS, tid, 0, &registers->user) < 0 ? -errno : 0;
}

bool sl_machine_dwarf(const struct sl_registers *registers, struct sl_dwarf_registers *dwarf)
{
	const struct user_regs_struct *user = &registers->user;
	*dwarf = (struct sl_dwarf_registers){
		.values = {user->rax, user->rdx, user->rcx, user->rbx, user->rsi, user->rdi,
	                   user->rbp, user->rsp, user->r8, user->r9, user->r10, user->r11,
	                   user->r12, user->r13, user->r14, user->r15, user->rip},
		.known = (1u << 17) - 1,
		.kept = 1u << 3 | 1u << 6 | 0xfu << 12 | 1u << 16, /* rbx, rbp, r12 to r15 */
		.sp = 7,
		.ra = 16,
	};
	return true;
}

static int write_registers(int tid, const struct user_regs_struct *user)
{
	return ptrace(PTRACE_SETREGS, tid, 0, user) < 0 ? -errno : 0;
}

void sl_machine_point(const struct sl_registers *registers, struct sl_point *point)
{
	const struct user_regs_struct *user = &registers->user;
	*point = (struct sl_point){
		.call = user->cs == SL_CODE_64 ? (int64_t)user->orig_rax : -1,
		.arguments = {user->rdi, user->rsi, user->rdx, user->r10, user->r8, user->r9},
		.result = (int64_t)user->rax,
		.pc = user->rip,
		.sp = user->rsp,
		.tls = user->fs_base,
	};
}

bool sl_machine_is_behind_call(int memory, uint64_t pc)
{
	return is_call(memory, pc - 2);
}

int64_t sl_machine_asked(int memory, const struct sl_point *point)
{
	const int64_t number =
		point->call == SYS_restart_syscall ? read_number(memory, point->pc) : -1;
	return number >= 0 ? number : point->call;
}

/* A call that a stop ends with EINTR, as no other signal would that nobody handles: the kernel has a number for what we mean. */
static void mend_result(struct user_regs_struct *user)
{
	if ((int64_t)user->orig_rax >= 0 && (int64_t)user->rax == -EINTR &&
	    sl_call_is_cut_by_stop((int64_t)user->orig_rax))
		user->rax = (uint64_t)-SL_ERESTARTNOHAND;
}

int sl_machine_uninterrupt(int tid)
{
	struct sl_registers registers;
	int error = sl_machine_read(tid, &registers);
	if (error)
		return error;
	const uint64_t before = registers.user.rax;
	mend_result(&registers.user);
	return registers.user.rax == before ? 0 : write_registers(tid, &registers.user);
}

/* Where the code itself goes on, without the kernel's knowledge of an interrupted call. */
static void resume_alone(const struct user_regs_struct *from, struct popped *popped)
{
	struct user_regs_struct user = *from;
	mend_result(&user);
	const int64_t result = (int64_t)user.orig_rax >= 0 ? (int64_t)user.rax : 0;
	const bool is_cut = result <= -SL_ERESTARTSYS && result >= -SL_ERESTART_RESTARTBLOCK;
	*popped = (struct popped){
		.flags = user.eflags,
		.r15 = user.r15,
		.r14 = user.r14,
		.r13 = user.r13,
		.r12 = user.r12,
		.r11 = user.r11,
		.r10 = user.r10,
		.r9 = user.r9,
		.r8 = user.r8,
		.rdi = user.rdi,
		.rsi = user.rsi,
		.rdx = user.rdx,
		.rcx = user.rcx,
		.rbp = user.rbp,
		.rbx = user.rbx,
		.rax = !is_cut                               ? user.rax
	               : result == -SL_ERESTART_RESTARTBLOCK ? SYS_restart_syscall
	                                                     : user.orig_rax,
		.pc = is_cut ? user.rip - 2 : user.rip,
	};
}

/* Of the vector registers, as xsave lays them out here; 0: there is no xsave. */
static size_t xsave_bytes(void)
{
	unsigned a, b, c, d;
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) ||
	    !__get_cpuid_count(0xd, 0, &a, &b, &c, &d))
		return 0;
	return b;
}

static size_t text_bytes(const struct sl_machine_call *call)
{
	return strlen(call->library) + 1 + strlen(call->function) + 1 +
	       (call->options ? strlen(call->options) + 1 : 0);
}

size_t sl_machine_frame_bytes(const struct sl_machine_call *call)
{
	const size_t vectors = xsave_bytes();
	return SL_RED_ZONE_BYTES + sizeof(struct popped) + text_bytes(call) +
	       (vectors ? vectors : SL_FXSAVE_BYTES) + 128 + sizeof(struct frame);
}

/* All but what tells of a fault of the call itself, of a sandbox, and of another thread's setuid(), which waits for all. */
static uint64_t blocked_signals(void)
{
	static const int open[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SL_GNU_SETXID};
	uint64_t all = ~(uint64_t)0;
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		all &= ~((uint64_t)1 << (open[i] - 1));
	return all;
}

static uint64_t put_text(unsigned char *image, uint64_t image_at, uint64_t *at, const char *text)
{
	const uint64_t here = *at;
	memcpy(image + (here - image_at), text, strlen(text) + 1);
	*at += strlen(text) + 1;
	return here;
}

int sl_machine_begin(int tid, int memory, const struct sl_registers *registers,
                     struct sl_machine_call *call)
{
	const size_t xsave = xsave_bytes();
	const uint64_t popped_at = registers->user.rsp - SL_RED_ZONE_BYTES - sizeof(struct popped);
	uint64_t text_at = popped_at - text_bytes(call);
	const uint64_t vectors_at = (text_at - (xsave ? xsave : SL_FXSAVE_BYTES)) & ~(uint64_t)63;
	const uint64_t frame_at = (vectors_at - sizeof(struct frame)) & ~(uint64_t)63;
	const size_t bytes = popped_at + sizeof(struct popped) - frame_at;
	struct frame frame = {
		.blocked = blocked_signals(),
		.errno_location = call->calls.errno_location,
		.dlopen = call->calls.dlopen,
		.dlsym = call->calls.dlsym,
		.dlerror = call->calls.dlerror,
		.registers = popped_at,
		.vectors = vectors_at,
		.has_xsave = xsave != 0,
		.mode = RTLD_NOW | RTLD_LOCAL,
	};
	struct user_regs_struct entry = registers->user;
	if (ptrace(PTRACE_GETSIGMASK, tid, sizeof(frame.mask), &frame.mask) < 0)
		return -errno;
	unsigned char *image = calloc(1, bytes); /* xsave wants its header zero */
	if (!image)
		return -ENOMEM;
	frame.library = put_text(image, frame_at, &text_at, call->library);
	frame.function = put_text(image, frame_at, &text_at, call->function);
	frame.options = call->options ? put_text(image, frame_at, &text_at, call->options) : 0;
	memcpy(image, &frame, sizeof(frame));
	struct popped popped;
	resume_alone(&registers->user, &popped);
	memcpy(image + (popped_at - frame_at), &popped, sizeof(popped));
	const bool is_written = sl_memory_write(memory, frame_at, image, bytes);
	free(image);
	if (!is_written)
		return -EFAULT;
	call->frame = frame_at;
	call->mask = frame.mask;
	entry.rip = call->code + offset_of(sl_inject_entry);
	entry.rsp = entry.rbx = frame_at;
	entry.eflags = SL_FLAGS;
	entry.orig_rax = (uint64_t)-1; /* no system call is begun again here */
	int error = write_registers(tid, &entry);
	if (error)
		return error;
	/* The code does the same; a handler need not even begin. */
	(void)ptrace(PTRACE_SETSIGMASK, tid, sizeof(frame.blocked), &frame.blocked);
	return 0;
}

bool sl_machine_is_inside(const struct sl_machine_call *call, uint64_t pc)
{
	return pc >= call->code && pc < call->code + offset_of(sl_inject_code_end);
}

bool sl_machine_is_over(int memory, const struct sl_machine_call *call, int *result,
                        uint64_t *error_text)
{
	struct frame frame;
	if (!sl_memory_read(memory, call->frame, &frame, sizeof(frame)) || frame.is_over != 1)
		return false;
	*result = (int)frame.result;
	*error_text = frame.error_text;
	return true;
}

int sl_machine_finish(int tid, const struct sl_registers *registers,
                      const struct sl_machine_call *call)
{
	struct user_regs_struct user = registers->user;
	mend_result(&user);
	if (ptrace(PTRACE_SETSIGMASK, tid, sizeof(call->mask), &call->mask) < 0)
		return -errno;
	return write_registers(tid, &user);
}

#endif
