/* so_attach - preloaded instead of the library: it has the library come as an operator would have it, by dlopen() and a call, when the
 * program's symbols are bound already. ATTACH_LIBRARY names it; the options are those of the environment. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef int attach_fn(const char *options);

__attribute__((constructor)) static void attach(void)
{
	void *library = dlopen(getenv("ATTACH_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
	attach_fn *call = library ? (attach_fn *)dlsym(library, "sockleak_attach") : NULL;
	int result = call ? call(getenv("SOCKLEAK_OPTIONS")) : -1;
	if (result != 0)
		fprintf(stderr, "so_attach: %d\n", result);
}
