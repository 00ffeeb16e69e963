/* late_doors - has the library come when the test says so, and opens connections by objects of several kinds.
 *
 * The program itself is compiled in several ways: see late_doors_*.c.
 */
#include "commands.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

typedef int attach_fn(const char *options);
typedef int connect_fn(unsigned port);

static char options[4096];

/* library PATH: where it is; options stand in the variable ATTACH_OPTIONS. */
static void do_attach(const struct words *w)
{
	void *library = dlopen(text(w, 1), RTLD_NOW | RTLD_LOCAL);
	attach_fn *call = library ? (attach_fn *)dlsym(library, "sockleak_attach") : NULL;
	if (!call) {
		say("error %s", dlerror());
		return;
	}
	errno = 4711;
	int result = call(options);
	say("ok %d %d", result, errno == 4711);
}

/* load PATH: an object. */
static void do_load(const struct words *w)
{
	void *object = dlopen(text(w, 1), RTLD_NOW | RTLD_LOCAL);
	if (object)
		say("ok %ld", (long)(intptr_t)object);
	else
		say("error %s", dlerror());
}

/* by PATH PORT: a connection that the object opens. */
static void do_by(const struct words *w)
{
	void *object = dlopen(text(w, 1), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
	connect_fn *open_one = object ? (connect_fn *)dlsym(object, "open_one") : NULL;
	answer(open_one ? open_one((unsigned)number(w, 2, 0)) : -1);
}

/* its PATH NAME: what the object makes of dlopen(NAME), by its own way of searching. */
static void do_its(const struct words *w)
{
	void *object = dlopen(text(w, 1), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
	bool (*open_by_name)(const char *) =
		object ? (bool (*)(const char *))dlsym(object, "open_by_name") : NULL;
	say("ok %d", open_by_name && open_by_name(text(w, 2)));
}

/* The address of a function, as a program with fixed addresses has it: one of its own. */
static int (*volatile taken_address)(int) = close;

static void do_closeby(const struct words *w)
{
	answer(taken_address(number(w, 1, -1)));
}

/* Functions in a table, as a library has them that lets its user replace them. */
static const struct {
	int (*socket)(int, int, int);
	int (*connect)(int, const struct sockaddr *, socklen_t);
} calls = {socket, connect};
static const void *volatile table = &calls; /* not to be seen through */

/* table PORT: a connection, opened by the functions of the table. */
static void do_table(const struct words *w)
{
	const typeof(calls) *by = (const void *)table;
	const struct sockaddr_in to = {.sin_family = AF_INET,
	                               .sin_port = htons((uint16_t)number(w, 1, 0)),
	                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = by->socket(AF_INET, SOCK_STREAM, 0);
	answer(by->connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 ? fd : -1);
}

static int open_relro(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size, (void)unused;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t begin = (info->dlpi_addr + segment->p_vaddr) & ~(uintptr_t)4095;
		uintptr_t end =
			(info->dlpi_addr + segment->p_vaddr + segment->p_memsz) & ~(uintptr_t)4095;
		if (segment->p_type == PT_GNU_RELRO && end > begin &&
		    mprotect((void *)begin, end - begin, PROT_READ | PROT_WRITE) != 0)
			die("mprotect");
	}
	return 0;
}

/* unprotect: RELRO is writable from now on, as other tools that redirect calls leave it. */
static void do_unprotect(const struct words *w)
{
	(void)w;
	dl_iterate_phdr(open_relro, NULL);
	say("ok");
}

static atomic_bool is_over;
static atomic_uint loads;
static const char *churned[2];

static void *churn(void *path)
{
	while (!is_over) {
		void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!object)
			die("dlopen");
		dlclose(object);
		loads++;
	}
	return NULL;
}

/* churn PATH PATH TIMES LIBRARY: attach and have it detach so often while two threads load and unload objects; the test detaches. */
static pthread_t churners[2];

static void do_churn(const struct words *w)
{
	for (unsigned i = 0; i < 2; i++) {
		churned[i] = strdup(text(w, 1 + i));
		if (pthread_create(&churners[i], NULL, churn, (void *)churned[i]) != 0)
			die("pthread_create");
	}
	say("ok");
}

static void do_still(const struct words *w)
{
	(void)w;
	is_over = true;
	for (unsigned i = 0; i < 2; i++)
		pthread_join(churners[i], NULL);
	say("ok %u", loads);
}

static const struct command commands[] = {
	{"attach", do_attach}, {"load", do_load},         {"by", do_by},
	{"its", do_its},       {"closeby", do_closeby},   {"connect", do_connect},
	{"close", do_close},   {"dup2", do_dup2},         {"churn", do_churn},
	{"still", do_still},   {"rawclose", do_rawclose}, {"nop", do_nop},
	{"fin", do_fin},       {"table", do_table},       {"unprotect", do_unprotect},
};

int main(void)
{
	const char *given = getenv("ATTACH_OPTIONS");
	if (given)
		(void)snprintf(options, sizeof(options), "%s", given);
	obey_all(commands, sizeof(commands) / sizeof(commands[0]));
	return 0;
}
