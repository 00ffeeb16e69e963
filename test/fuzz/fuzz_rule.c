/* fuzz_rule.c - any bytes as a rule of only= or never=: nothing is read past them, and what is taken can be written down and
 * read back, covers what it names and nothing beside it.
 *
 * A libFuzzer entry; with -DSL_FUZZ_MAIN a program that replays the files named as arguments.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rule.h"

#define SL_FUZZ_RULE_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static bool bit_of(const uint8_t *address, unsigned bit)
{
	return address[bit / 8] >> (7 - bit % 8) & 1;
}

static void check_fields(const struct sl_rule *rule)
{
	require(rule->bits <= 128);
	for (unsigned bit = rule->has_address ? rule->bits : 0; bit < 128; bit++)
		require(!bit_of(rule->address, bit));
	if (rule->local_port)
		require(!rule->has_address && !rule->port);
	require(rule->has_address || (rule->bits == 0 && (rule->port || rule->local_port)));
}

static void check_covers(const struct sl_rule *rule)
{
	uint8_t address[16];
	memcpy(address, rule->address, sizeof(address));
	uint16_t port = rule->port ? rule->port : 7;
	uint16_t local_port = rule->local_port ? rule->local_port : 9;
	require(sl_rule_covers(rule, address, port, local_port));
	require(sl_rule_covers(rule, address, port ^ 1, local_port) == !rule->port);
	require(sl_rule_covers(rule, address, port, local_port ^ 1) == !rule->local_port);
	if (rule->bits < 128) {
		address[15] ^= 1;
		require(sl_rule_covers(rule, address, port, local_port));
		address[15] ^= 1;
	}
	if (rule->bits > 0) {
		address[(rule->bits - 1) / 8] ^= (uint8_t)(0x80 >> (rule->bits - 1) % 8);
		require(!sl_rule_covers(rule, address, port, local_port));
	}
}

/* The longest form of the rule gives the same rule. */
static void check_spelled(const struct sl_rule *rule)
{
	char address[INET6_ADDRSTRLEN], text[128];
	require(inet_ntop(AF_INET6, rule->address, address, sizeof(address)));
	int n = 0;
	if (rule->local_port)
		n = snprintf(text, sizeof(text), "local:%u", rule->local_port);
	else if (rule->has_address)
		n = snprintf(text, sizeof(text), "[%s/%u]", address, rule->bits);
	if (rule->port)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ":%u", rule->port);
	struct sl_rule again;
	require(!sl_rule_read(text, (size_t)n, &again));
	require(memcmp(again.address, rule->address, sizeof(again.address)) == 0);
	require(again.bits == rule->bits && again.has_address == rule->has_address);
	require(again.port == rule->port && again.local_port == rule->local_port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > SL_FUZZ_RULE_MAX)
		return 0;
	/* A block of its own, so that a byte read past it is seen. */
	char *text = malloc(size ? size : 1);
	require(text);
	memcpy(text, data, size);
	struct sl_rule rule;
	memset(&rule, 0xa5, sizeof(rule));
	const char *refusal = sl_rule_read(text, size, &rule);
	bool is_plain = size > 0;
	for (size_t i = 0; i < size; i++)
		is_plain &= text[i] && strchr("0123456789abcdefABCDEF.:/[]local", text[i]);
	free(text);
	if (refusal) {
		require(*refusal && strlen(refusal) < 64);
		return 0;
	}
	require(is_plain);
	check_fields(&rule);
	check_covers(&rule);
	check_spelled(&rule);
	return 0;
}

#include "replay.h"
