#include "stack/walk.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <ucontext.h>

#include "base/sys.h"
#include "stack/cfi.h"

#include "base/poison.h"

#define SL_RULES_MAX 4096u /* a power of two */
#define SL_PROBES_MAX 16u

/* One frame is no larger, or is libunwind's. */
#define SL_FRAME_MAX (256u << 10)

/* A rule, by its return address. Written once: 0, then busy, then the address, behind the rule. */
#define SL_BUSY 1u /* no return address is this */
struct entry {
	_Atomic uintptr_t key;
	_Atomic uint64_t rule;
};
static struct entry entries[SL_RULES_MAX];

/* Pages of the stack that this thread runs on, found to be there. */
static __thread struct {
	uintptr_t low, high;
} known __attribute__((tls_model("initial-exec")));

struct frame {
	uintptr_t pc, sp, fp;
};

static uint64_t packed(const struct sl_cfi_rule *rule)
{
	uint64_t word;
	_Static_assert(sizeof(*rule) == sizeof(word), "a rule is one word");
	memcpy(&word, rule, sizeof(word));
	return word;
}

static struct sl_cfi_rule unpacked(uint64_t word)
{
	struct sl_cfi_rule rule;
	memcpy(&rule, &word, sizeof(rule));
	return rule;
}

static inline uint32_t hash(uintptr_t pc)
{
	return (uint32_t)((uint64_t)pc * 0x9e3779b97f4a7c15ULL >> 40);
}

static inline bool look_up(uintptr_t pc, struct sl_cfi_rule *rule)
{
	uint32_t at = hash(pc);
	for (uint32_t i = 0; i < SL_PROBES_MAX; i++, at++) {
		struct entry *entry = &entries[at % SL_RULES_MAX];
		uintptr_t key = atomic_load_explicit(&entry->key, memory_order_acquire);
		if (key == pc) {
			*rule = unpacked(atomic_load_explicit(&entry->rule, memory_order_acquire));
			/* Forgotten meanwhile, and another's? */
			return atomic_load_explicit(&entry->key, memory_order_relaxed) == pc;
		}
		if (key == 0)
			return false;
	}
	return false;
}

/* Where there is no room, or a thread was left between the two stores for ever, it is found anew each time. */
static void keep(uintptr_t pc, const struct sl_cfi_rule *rule)
{
	uint32_t at = hash(pc);
	for (uint32_t i = 0; i < SL_PROBES_MAX; i++, at++) {
		struct entry *entry = &entries[at % SL_RULES_MAX];
		uintptr_t key = 0;
		if (atomic_compare_exchange_strong(&entry->key, &key, SL_BUSY)) {
			atomic_store_explicit(&entry->rule, packed(rule), memory_order_release);
			atomic_store_explicit(&entry->key, pc, memory_order_release);
			return;
		}
		if (key == pc)
			return;
	}
}

static bool rule_at(uintptr_t pc, bool may_learn, struct sl_cfi_rule *rule)
{
	if (__builtin_expect(look_up(pc, rule), 1))
		return true;
	if (!may_learn || !sl_cfi_find(pc, rule))
		return false;
	keep(pc, rule);
	return true;
}

/* A jump out of a handler may come between any two of these. */
static void know(uintptr_t low, uintptr_t high)
{
	known.high = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	known.low = low;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	known.high = high;
}

static bool are_there(uintptr_t low, uintptr_t high)
{
	for (uintptr_t page = low; page < high; page += SL_SYS_PAGE_BYTES)
		if (!sl_sys_is_readable((const void *)page, sizeof(uintptr_t)))
			return false;
	return true;
}

/* The stack as far as `end`. */
__attribute__((noinline)) static bool reach(uintptr_t end)
{
	uintptr_t low = known.low, high = known.high;
	end = (end + SL_SYS_PAGE_BYTES - 1) & ~(uintptr_t)(SL_SYS_PAGE_BYTES - 1);
	if (!are_there(high, end))
		return false;
	know(low, end);
	return true;
}

/* This thread runs at sp. Deeper than before: is it the same stack? */
__attribute__((noinline)) static void arrive(uintptr_t sp)
{
	uintptr_t low = known.low, high = known.high;
	uintptr_t page = sp & ~(uintptr_t)(SL_SYS_PAGE_BYTES - 1);
	if (page < low && low - page <= SL_FRAME_MAX && high > low &&
	    are_there(page + SL_SYS_PAGE_BYTES, low))
		know(page, high);
	else
		know(page, page + SL_SYS_PAGE_BYTES);
}

static uintptr_t word_at(uintptr_t at)
{
	return *(const uintptr_t *)at;
}

/* Its caller. All that is read lies between the stack pointer and the frame's end. */
static inline bool step(struct frame *frame, const struct sl_cfi_rule *rule)
{
	uintptr_t from = rule->kind == SL_CFI_FROM_SP ? frame->sp : frame->fp;
	uintptr_t cfa = from + (uintptr_t)(intptr_t)rule->cfa_offset;
	uintptr_t bytes = cfa - frame->sp;
	if (bytes < sizeof(uintptr_t) || bytes > SL_FRAME_MAX || cfa % sizeof(uintptr_t) != 0 ||
	    (cfa > known.high && !reach(cfa)))
		return false;
	if (rule->saved_fp) {
		uintptr_t saved = (uintptr_t)-rule->saved_fp;
		if (saved > bytes)
			return false;
		frame->fp = word_at(cfa - saved);
	}
	frame->pc = word_at(cfa - sizeof(uintptr_t));
	frame->sp = cfa;
	return true;
}

__attribute__((noinline)) uint32_t sl_walk(const void *caller, uint64_t *words, uint32_t limit,
                                           bool may_learn, bool *is_cut, bool *in_handler)
{
	*in_handler = false;
#if defined(__x86_64__)
	/* This function has a frame pointer, since it is asked for: the caller's, and the return address, lie there. */
	const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	struct frame frame = {word_at(here + sizeof(uintptr_t)), here + 2 * sizeof(uintptr_t),
	                      word_at(here)};
	struct sl_cfi_rule rule;
	unsigned own = 0;
	uint32_t n = 0;
	if (here < known.low || here >= known.high)
		arrive(here);
	for (;;) {
		if (n > 0 || frame.pc == (uintptr_t)caller) {
			if (n == limit) {
				*is_cut = true;
				return n;
			}
			words[n++] = frame.pc;
		} else if (++own > SL_WALK_OWN_FRAMES) {
			return 0;
		}
		if (!rule_at(frame.pc, may_learn || n == 0, &rule) || rule.kind == SL_CFI_OTHER)
			return 0;
		*in_handler = rule.kind == SL_CFI_SIGNAL;
		if (*in_handler)
			return 0;
		if (rule.kind == SL_CFI_END)
			break;
		if (rule.kind == SL_CFI_BROKEN) {
			*is_cut = true;
			return n;
		}
		if (!step(&frame, &rule))
			return 0;
	}
	*is_cut = false;
	return n;
#else
	(void)caller, (void)words, (void)limit, (void)may_learn, (void)is_cut;
	(void)rule_at, (void)arrive, (void)step;
	return 0;
#endif
}

#if defined(__x86_64__)

#define SL_AMIDST_FRAMES_MAX 65536u
#define SL_SYSCALL_BYTES 2u /* syscall: 0f 05 */

static bool is_syscall(uintptr_t pc)
{
	const uint8_t *code = (const uint8_t *)pc;
	return sl_sys_is_readable(code, SL_SYSCALL_BYTES) && code[0] == 0x0f && code[1] == 0x05;
}

/* What the kernel would begin anew, since the handler has SA_RESTART (signal(7)); not futex(), by which a lock may be waited for. (__NR_: calls
 * that are looked for, none that is made.) */
static bool is_a_wait(long long number)
{
	static const uint16_t waits[] = {
		__NR_read,    __NR_write,   __NR_readv,   __NR_writev, __NR_recvfrom,
		__NR_sendto,  __NR_recvmsg, __NR_sendmsg, __NR_accept, __NR_accept4,
		__NR_connect, __NR_wait4,   __NR_waitid,  __NR_flock,  __NR_fcntl,
	};
	for (unsigned i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
		if (waits[i] == number)
			return true;
	return false;
}

/* futex(2) waits for a lock of this process's own; its number is gone behind the call. */
static bool may_be_a_lock(unsigned long long operation)
{
	unsigned long long plain = operation & ~(unsigned long long)FUTEX_CLOCK_REALTIME;
	return (plain & FUTEX_PRIVATE_FLAG) &&
	       (plain & ~(unsigned long long)FUTEX_PRIVATE_FLAG) <= FUTEX_LOCK_PI2;
}

/* The call has ended for the signal, or will begin anew when the handler returns. */
static bool was_waiting(const ucontext_t *at)
{
	const greg_t *gregs = at->uc_mcontext.gregs;
	uintptr_t pc = (uintptr_t)gregs[REG_RIP];
	if (gregs[REG_RAX] == -EINTR)
		return is_syscall(pc - SL_SYSCALL_BYTES) &&
		       !may_be_a_lock((unsigned long long)gregs[REG_RSI]);
	return is_syscall(pc) && is_a_wait(gregs[REG_RAX]);
}

/* From a handler to what it has interrupted: its frame is what rt_sigreturn() takes, a ucontext_t at the stack pointer. False: there is
 * none to be read. */
static bool step_out(struct frame *frame, bool *is_amidst)
{
	const uintptr_t end = frame->sp + sizeof(ucontext_t);
	const ucontext_t *at = (const ucontext_t *)frame->sp;
	if (frame->sp % sizeof(uintptr_t) != 0 || (end > known.high && !reach(end)))
		return false;
	*is_amidst = !was_waiting(at);
	frame->sp = (uintptr_t)at->uc_mcontext.gregs[REG_RSP];
	frame->fp = (uintptr_t)at->uc_mcontext.gregs[REG_RBP];
	/* The rule of this very instruction: one is found by what lies before a return address. */
	frame->pc = (uintptr_t)at->uc_mcontext.gregs[REG_RIP] + 1;
	if (frame->sp < known.low || frame->sp >= known.high)
		arrive(frame->sp);
	return true;
}

__attribute__((noinline)) bool sl_walk_is_amidst(void)
{
	const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	struct frame frame = {word_at(here + sizeof(uintptr_t)), here + 2 * sizeof(uintptr_t),
	                      word_at(here)};
	struct sl_cfi_rule rule;
	bool is_amidst = false;
	if (here < known.low || here >= known.high)
		arrive(here);
	for (unsigned n = 0; n < SL_AMIDST_FRAMES_MAX && !is_amidst; n++) {
		if (!rule_at(frame.pc, true, &rule))
			return false;
		if (rule.kind == SL_CFI_OTHER || rule.kind == SL_CFI_END ||
		    rule.kind == SL_CFI_BROKEN)
			return false;
		if (rule.kind == SL_CFI_SIGNAL ? !step_out(&frame, &is_amidst)
		                               : !step(&frame, &rule))
			return false;
	}
	return is_amidst;
}

#else

bool sl_walk_is_amidst(void)
{
	return false;
}

#endif

void sl_walk_forget(void)
{
	for (uint32_t i = 0; i < SL_RULES_MAX; i++) {
		uintptr_t key = atomic_load(&entries[i].key);
		if (key > SL_BUSY)
			atomic_compare_exchange_strong(&entries[i].key, &key, 0);
	}
}
