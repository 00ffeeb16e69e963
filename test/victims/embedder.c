/* Build: -ldl */
/* embedder LIBJVM [NOITPO...] - a program with a Java VM in it. The VM's options stand there backwards, and reach it by a call. With the
 * word "own-quit" SIGQUIT is the program's own. Says "ready", waits for the end of its input, and says how often SIGQUIT came. */
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 16
#define JNI_VERSION_1_8 0x00010008

struct vm_option {
	char *text;
	void *extra;
};

struct vm_arguments {
	int32_t version, count;
	struct vm_option *options;
	uint8_t ignores_unknown;
};

static volatile sig_atomic_t quits;

static void on_quit(int signo)
{
	(void)signo;
	quits = quits + 1;
}

/* Written backwards on the command line, so that nobody reads it there. */
static char *turn(char *text)
{
	for (size_t i = 0, n = strlen(text); i < n / 2; i++) {
		const char c = text[i];
		text[i] = text[n - 1 - i];
		text[n - 1 - i] = c;
	}
	return text;
}

int main(int argc, char **argv)
{
	static char copies[OPTIONS_MAX][256];
	struct vm_option options[OPTIONS_MAX];
	struct vm_arguments arguments = {.version = JNI_VERSION_1_8, .options = options};
	int has_own_quit = 0;
	void *vm, *env;
	for (int i = 2; i < argc && i < OPTIONS_MAX; i++) {
		if (strcmp(argv[i], "own-quit") == 0) {
			has_own_quit = 1;
			continue;
		}
		(void)snprintf(copies[i], sizeof(copies[i]), "%s", argv[i]);
		options[arguments.count++] = (struct vm_option){.text = turn(copies[i])};
	}
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	int (*create)(void **, void **, void *) =
		library ? (int (*)(void **, void **, void *))(uintptr_t)dlsym(library,
	                                                                      "JNI_CreateJavaVM")
			: NULL;
	if (!create || create(&vm, &env, &arguments))
		return 1;
	if (has_own_quit)
		(void)signal(SIGQUIT, on_quit);
	(void)puts("ready");
	(void)fflush(stdout);
	while (getchar() != EOF)
		continue;
	(void)printf("quits %d\n", (int)quits);
	(void)fflush(stdout);
	_Exit(0);
}
