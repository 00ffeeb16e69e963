/* words.c - see words.h. */
#include "report/words.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>

#include "base/poison.h"

/* The word of `value` in a table that may have holes. The cast makes a negative enum a large
 * number. */
#define WORD(table, value) \
	((size_t)(value) < sizeof(table) / sizeof(*(table)) ? (table)[(size_t)(value)] : NULL)

const char *sl_words_verdict(enum sl_verdict verdict)
{
	static const char *const words[SL_VERDICT_COUNT] = {
		[SL_VERDICT_OK] = "OK",       [SL_VERDICT_POOL] = "POOL",
		[SL_VERDICT_BURST] = "BURST", [SL_VERDICT_UNKNOWN] = "UNKNOWN",
		[SL_VERDICT_LEAK] = "LEAK",   [SL_VERDICT_NOT_ACCEPTING] = "NOT_ACCEPTING",
	};
	return WORD(words, verdict);
}

const char *sl_words_site_verdict(enum sl_site_verdict verdict)
{
	static const char *const words[SL_SITE_VERDICT_COUNT] = {
		[SL_SITE_OK] = "ok",       [SL_SITE_SLOW] = "slow",       [SL_SITE_POOL] = "pool",
		[SL_SITE_BURST] = "burst", [SL_SITE_UNKNOWN] = "unknown", [SL_SITE_LEAK] = "leak",
	};
	return WORD(words, verdict);
}

const char *sl_words_cause(enum sl_cause cause)
{
	static const char *const words[SL_CAUSE_COUNT] = {
		[SL_CAUSE_EOF_IGNORED] = "eof-ignored",
		[SL_CAUSE_NEVER_LOOKED] = "never-looked",
		[SL_CAUSE_UNREAD_DATA] = "unread-data",
		[SL_CAUSE_DEAD_BUT_OPEN] = "dead-but-open",
	};
	return WORD(words, cause);
}

const char *sl_words_cause_phrase(enum sl_cause cause)
{
	static const char *const words[SL_CAUSE_COUNT] = {
		[SL_CAUSE_EOF_IGNORED] = "read to its end, not closed",
		[SL_CAUSE_NEVER_LOOKED] = "never looked at again",
		[SL_CAUSE_UNREAD_DATA] = "left with data unread",
		[SL_CAUSE_DEAD_BUT_OPEN] = "dead, but not closed",
	};
	return WORD(words, cause);
}

const char *sl_words_elsewhere(enum sl_elsewhere_kind kind)
{
	static const char *const words[SL_ELSEWHERE_COUNT] = {
		[SL_ELSEWHERE_NOT_ACCEPTED] = "not-accepted",
		[SL_ELSEWHERE_FIN_WAIT2] = "fin-wait2",
		[SL_ELSEWHERE_HALF_OPEN] = "half-open",
		[SL_ELSEWHERE_NEVER_CONNECTED] = "never-connected",
		[SL_ELSEWHERE_CONNECT_FAILED] = "connect-failed",
		[SL_ELSEWHERE_CONNECTING] = "connecting",
		[SL_ELSEWHERE_PORTS_TAKEN] = "ports-taken",
	};
	return WORD(words, kind);
}

const char *sl_words_elsewhere_advice(enum sl_elsewhere_kind kind, bool is_stalled)
{
	static const char *const words[SL_ELSEWHERE_COUNT] = {
		[SL_ELSEWHERE_NOT_ACCEPTED] = "too slow, clients are turned away",
		[SL_ELSEWHERE_FIN_WAIT2] = "the peer does not close its half",
		[SL_ELSEWHERE_HALF_OPEN] = "peer may be gone: keepalive=60 would find out",
		[SL_ELSEWHERE_NEVER_CONNECTED] = "close what is not used",
		[SL_ELSEWHERE_CONNECT_FAILED] = "close it where connect() fails",
		[SL_ELSEWHERE_CONNECTING] = "no answer: down, or a firewall",
		[SL_ELSEWHERE_PORTS_TAKEN] = "others have them, or TIME_WAIT",
	};
	if (kind == SL_ELSEWHERE_NOT_ACCEPTED && is_stalled)
		return "the program is not calling accept()";
	return WORD(words, kind);
}

const char *sl_words_death(enum sl_death death)
{
	static const char *const words[SL_DEATH_COUNT] = {
		[SL_DEATH_RST] = "rst",
		[SL_DEATH_TIMEOUT] = "timeout",
		[SL_DEATH_KEEPALIVE] = "keepalive",
		[SL_DEATH_ORDERLY] = "orderly",
	};
	return WORD(words, death);
}

const char *sl_words_call(enum sl_io call)
{
	static const char *const words[] = {
		[SL_IO_READ] = "read",
		[SL_IO_WRITE] = "write",
	};
	return WORD(words, call);
}

const char *sl_words_state(unsigned tcp_state)
{
	static const char *const words[SL_WORDS_STATES] = {
		[TCP_ESTABLISHED] = "ESTABLISHED",
		[TCP_SYN_SENT] = "SYN_SENT",
		[TCP_SYN_RECV] = "SYN_RECV",
		[TCP_FIN_WAIT1] = "FIN_WAIT1",
		[TCP_FIN_WAIT2] = "FIN_WAIT2",
		[TCP_TIME_WAIT] = "TIME_WAIT",
		[TCP_CLOSE] = "CLOSE",
		[TCP_CLOSE_WAIT] = "CLOSE_WAIT",
		[TCP_LAST_ACK] = "LAST_ACK",
		[TCP_LISTEN] = "LISTEN",
		[TCP_CLOSING] = "CLOSING",
	};
	return WORD(words, tcp_state);
}

const char *sl_words_trigger(enum sl_trigger trigger)
{
	static const char *const words[SL_TRIGGER_COUNT] = {
		[SL_TRIGGER_SIGNAL] = "signal",     [SL_TRIGGER_EXIT] = "exit",
		[SL_TRIGGER_INTERVAL] = "interval", [SL_TRIGGER_THRESHOLD] = "threshold",
		[SL_TRIGGER_PRESSURE] = "pressure", [SL_TRIGGER_COMMAND] = "command",
	};
	return WORD(words, trigger);
}

const char *sl_words_mode(enum sl_mode mode)
{
	static const char *const words[SL_MODE_COUNT] = {
		[SL_MODE_PRELOAD] = "preload",
		[SL_MODE_ATTACH] = "attach",
		[SL_MODE_EXTERNAL] = "external",
	};
	return WORD(words, mode);
}

const char *sl_words_direction(enum sl_direction direction)
{
	static const char *const words[SL_DIRECTION_COUNT] = {
		[SL_DIRECTION_OUT] = "out",
		[SL_DIRECTION_IN] = "in",
	};
	return WORD(words, direction);
}

const char *sl_words_kind(enum sl_kind kind)
{
	static const char *const words[SL_KIND_COUNT] = {
		[SL_KIND_TCP] = "tcp",         [SL_KIND_UDP] = "udp",     [SL_KIND_UNIX] = "unix",
		[SL_KIND_NETLINK] = "netlink", [SL_KIND_OTHER] = "other",
	};
	return WORD(words, kind);
}

const char *sl_words_stack_kind(enum sl_stack_kind kind)
{
	static const char *const words[] = {
		[SL_STACK_NATIVE] = "native",
		[SL_STACK_JAVA] = "java",
	};
	return WORD(words, kind);
}

const char *sl_words_role(enum sl_role role)
{
	static const char *const words[SL_ROLE_COUNT] = {
		[SL_ROLE_RUNTIME] = "runtime",
		[SL_ROLE_LIBRARY] = "library",
		[SL_ROLE_APPLICATION] = "application",
	};
	return WORD(words, role);
}

const char *sl_words_action(enum sl_action action)
{
	static const char *const words[] = {
		[SL_ACTION_REPORT] = "report",
		[SL_ACTION_SHUTDOWN] = "shutdown",
		[SL_ACTION_NEUTRALIZE] = "neutralize",
		[SL_ACTION_CLOSE] = "close",
	};
	return WORD(words, action);
}

const char *sl_words_rung(enum sl_rung rung)
{
	static const char *const words[SL_RUNG_COUNT] = {
		[SL_RUNG_PROBE] = "probe",
		[SL_RUNG_SHUTDOWN] = "shutdown",
		[SL_RUNG_NEUTRALIZE] = "neutralize",
		[SL_RUNG_CLOSE] = "close",
	};
	return WORD(words, rung);
}

const char *sl_words_event(enum sl_event_kind kind)
{
	static const char *const words[SL_EVENT_COUNT] = {
		[SL_EVENT_STUCK] = "stuck",
		[SL_EVENT_RETRACTED] = "retracted",
		[SL_EVENT_PROBED] = "probed",
		[SL_EVENT_SHUTDOWN] = "shutdown",
		[SL_EVENT_APP_REACTED] = "app_reacted",
		[SL_EVENT_NEUTRALIZED] = "neutralized",
		[SL_EVENT_CLOSED] = "closed",
		[SL_EVENT_SKIPPED] = "skipped",
		[SL_EVENT_REGRETTED] = "regretted",
		[SL_EVENT_STOPPED] = "stopped",
		[SL_EVENT_RESCUE] = "rescue",
		[SL_EVENT_PRESSURE] = "pressure",
		[SL_EVENT_KEEPALIVE] = "keepalive",
		[SL_EVENT_SET] = "set",
		[SL_EVENT_REVERTED] = "reverted",
	};
	return WORD(words, kind);
}

const char *sl_words_spared(enum sl_spared spared)
{
	static const char *const words[SL_SPARED_COUNT] = {
		[SL_SPARED_SIDE] = "side",
		[SL_SPARED_RULE] = "rule",
		[SL_SPARED_ADOPTED] = "adopted",
		[SL_SPARED_REGRET] = "regret",
		[SL_SPARED_CAUSE] = "cause",
		[SL_SPARED_SHARED] = "shared",
		[SL_SPARED_SHARING_UNKNOWN] = "sharing-unknown",
		[SL_SPARED_UNREAD] = "unread-data",
		[SL_SPARED_ERROR_PENDING] = "error-pending",
		[SL_SPARED_EPOLL] = "epoll",
		[SL_SPARED_PEER_WAITS] = "peer-waits",
		[SL_SPARED_STDIO] = "stdio",
		[SL_SPARED_NUMBERS] = "numbers",
		[SL_SPARED_INTENDED] = "intended",
	};
	return WORD(words, spared);
}

const char *sl_words_error(int error)
{
	switch (error) {
	case EADDRNOTAVAIL:
		return "EADDRNOTAVAIL";
	case EADDRINUSE:
		return "EADDRINUSE";
	case EMFILE:
		return "EMFILE";
	case ENFILE:
		return "ENFILE";
	default:
		return NULL;
	}
}
