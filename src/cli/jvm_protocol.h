/* jvm_protocol.h - the words of HotSpot's attach protocol, version 1: requests and answers, as jcmd exchanges them.
 *
 * Layer: cli. Context: any. Pure. Source: attachListener.cpp and HotSpotVirtualMachine.java of JDK 8 to 25.
 */
#ifndef SL_CLI_JVM_PROTOCOL_H
#define SL_CLI_JVM_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>

#define SL_JVM_ARGUMENTS 3
#define SL_JVM_ARGUMENT_MAX 1024 /* bytes that the VM takes */
#define SL_JVM_REQUEST_BYTES (2 + 17 + SL_JVM_ARGUMENTS * (SL_JVM_ARGUMENT_MAX + 1))
#define SL_JVM_ANSWER_BYTES 8192
#define SL_JVM_BAD_VERSION 101

/* VERB and three arguments, NULL for none. Its length, or 0: an argument is too long for the VM. */
size_t sl_jvm_request(char request[SL_JVM_REQUEST_BYTES], const char *verb,
                      const char *const arguments[SL_JVM_ARGUMENTS]);

struct sl_jvm_answer {
	int status;      /* 0: the request was carried out */
	bool has_result; /* of the library's Agent_OnAttach */
	int result;
	char text[512]; /* what it says else, in one line */
};

/* "0\n0\n" (JDK 8), "0\nreturn code: 0\n" (since 9), "-1\nTEXT\n", "0\nTEXT\n". False: it is none. */
bool sl_jvm_answer_read(const char *bytes, struct sl_jvm_answer *answer);

#endif
