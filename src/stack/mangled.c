#include "stack/mangled.h"

#include <stdbool.h>
#include <string.h>

#include "base/out.h"

#include "base/poison.h"

/* Before a name that is written out: of a Rust trait's implementation, of C++ thunks. */
static const char *const before[] = {
	"<", "&", "mut ", "dyn ", "non-virtual thunk to ", "virtual thunk to "};

static const char *skip_before(const char *name)
{
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]);) {
		const size_t n = strlen(before[i]);
		if (strncmp(name, before[i], n) == 0) {
			name += n;
			i = 0;
		} else {
			i++;
		}
	}
	return name;
}

/* The digits of a length; 0: none, or more than any name has. */
static size_t read_length(const char **at)
{
	size_t length = 0;
	while (**at >= '0' && **at <= '9' && length < 10000)
		length = length * 10 + (size_t)(*(*at)++ - '0');
	return length < 10000 ? length : 0;
}

/* "_$LT$tokio..net..TcpStream" is "<tokio::net::TcpStream" of Rust. */
static void put_name(struct sl_out *out, const char *name, size_t n)
{
	static const char angle[] = "_$LT$";
	if (n >= sizeof(angle) - 1 && strncmp(name, angle, sizeof(angle) - 1) == 0) {
		name += sizeof(angle) - 1;
		n -= sizeof(angle) - 1;
	}
	for (size_t i = 0; i < n; i++) {
		const bool is_dots = name[i] == '.' && i + 1 < n && name[i + 1] == '.';
		if (is_dots)
			sl_out_text(out, "::");
		else
			sl_out_char(out, name[i]);
		i += is_dots;
	}
}

const char *sl_mangled_scope(const char *function, char *scope, size_t n)
{
	struct sl_out out;
	const char *at = function;
	bool is_nested;
	if (strncmp(at, "_ZThn", 5) == 0 || strncmp(at, "_ZTv", 4) == 0) {
		/* A thunk: what it leads to stands behind its offsets. */
		at = strstr(at, "_N");
		is_nested = at != NULL;
		at = at ? at + 2 : "";
	} else if (strncmp(at, "_Z", 2) == 0) {
		at += 1 + strspn(at + 1, "Z"); /* a lambda is in the function that it stands in */
		is_nested = *at == 'N';
		at += is_nested;
	} else {
		return skip_before(function);
	}
	sl_out_init(&out, scope, n - 1, NULL, NULL);
	at += is_nested ? strspn(at, "rVKRO") : 0;
	if (strncmp(at, "St", 2) == 0) {
		sl_out_text(&out, "std::");
		at += 2;
	} else if (*at == 'S' && at[1] && strchr("absiod", at[1])) {
		sl_out_text(&out, "std::"); /* string, allocator, streams */
		at = "";
	}
	const char *between = "";
	for (size_t length; (length = read_length(&at)) > 0; at += length) {
		if (strnlen(at, length) < length)
			break;
		sl_out_text(&out, between);
		put_name(&out, at, length);
		between = "::";
		if (!is_nested)
			break;
	}
	scope[out.length] = '\0';
	return scope;
}
