/* replay.h - the main() of a fuzzer that is built without libFuzzer (-DSL_FUZZ_MAIN): runs it on the files named as arguments.
 *
 * Included last, where LLVMFuzzerTestOneInput() is there. */
#ifdef SL_FUZZ_MAIN
#include <stdint.h>
#include <stdio.h>

#define SL_REPLAY_MAX (1u << 20)

int main(int argc, char **argv)
{
	static uint8_t data[SL_REPLAY_MAX];
	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");
		if (!file) {
			perror(argv[i]);
			return 1;
		}
		size_t size = fread(data, 1, sizeof(data), file);
		fclose(file);
		LLVMFuzzerTestOneInput(data, size);
	}
	printf("%d inputs replayed\n", argc - 1);
	return argc > 1 ? 0 : 1;
}
#endif
