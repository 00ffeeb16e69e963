#include "stack/source.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "base/poison.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A part of a string. */
struct part {
	const char *at;
	size_t n;
};

/* ---- what nobody has written ---- */

/* In the name of a class that was made at run time or by a build, and in no other. */
static const char *const generated_marks[] = {
	"$$Lambda",                /* HotSpot: the object of a lambda or method reference */
	"$$FastClass",             /* CGLIB, Spring, Guice */
	"$$EnhancerBy",            /* the same */
	"$$KeyFactoryBy",          /* the same */
	"$$SpringCGLIB$$",         /* Spring 6 */
	"CGLIB$$",                 /* CGLIB */
	"$ByteBuddy$",             /* Byte Buddy */
	"$auxiliary$",             /* the same */
	"$HibernateProxy$",        /* Hibernate */
	"$HibernateAccess",        /* the same */
	"$MockitoMock$",           /* Mockito */
	"_$$_",                    /* Javassist, Weld, RESTEasy */
	"$Proxy$",                 /* Weld */
	"$Definition$Intercepted", /* Micronaut */
	"$Intercepted",            /* the same */
	"$AjcClosure",             /* AspectJ */
	"$AOPProxy$",
};

/* What the build tools of Quarkus make has such an end and no line numbers. */
static const char *const generated_ends[] = {"_ClientProxy", "_Subclass"};

static bool ends_with(const char *text, const char *end)
{
	const size_t n = strlen(text), m = strlen(end);
	return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_digits(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0';
}

static const char *simple_name(const char *class_name)
{
	const char *dot = strrchr(class_name, '.');
	return dot ? dot + 1 : class_name;
}

/* java.lang.reflect.Proxy: "$Proxy12". */
static bool is_jdk_proxy(const char *class_name)
{
	const char *simple = simple_name(class_name);
	return strncmp(simple, "$Proxy", 6) == 0 && is_digits(simple + 6);
}

static bool is_generated_class(const struct sl_frame *frame)
{
	const char *name = frame->class_name;
	for (size_t i = 0; i < COUNT(generated_marks); i++)
		if (strstr(name, generated_marks[i]))
			return true;
	for (size_t i = 0; frame->line <= 0 && i < COUNT(generated_ends); i++)
		if (ends_with(name, generated_ends[i]))
			return true;
	return is_jdk_proxy(name);
}

bool sl_source_is_generated(const struct sl_frame *frame)
{
	if (!frame->class_name)
		return false;
	if (is_generated_class(frame))
		return true;
	/* What lets a nested class in: javac's and Kotlin's accessors. */
	if (frame->method && strncmp(frame->method, "access$", 7) == 0)
		return true;
	return frame->file && strcmp(frame->file, "<generated>") == 0;
}

/* ---- what stands inside another method ---- */

/* Up to the next '$' or the end. */
static struct part part_at(const char *at)
{
	return (struct part){at, strcspn(at, "$")};
}

static bool is_part(struct part part, const char *word)
{
	return part.n == strlen(word) && strncmp(part.at, word, part.n) == 0;
}

/* What javac calls it where the lambda stands in no method. */
static bool put_method(struct sl_out *out, struct part part)
{
	if (part.n == 0 || is_part(part, "null")) /* a lambda in a lambda, by old compilers */
		return false;
	if (is_part(part, "new"))
		sl_out_text(out, "<init>");
	else if (is_part(part, "static"))
		sl_out_text(out, "<clinit>");
	else
		sl_out_bytes(out, part.at, part.n);
	return true;
}

/* The method that the method's own name speaks of; false: of none but itself. */
static bool put_outer_method(struct sl_out *out, const char *method)
{
	static const struct {
		const char *before, *behind;
	} forms[] = {
		{"lambda$", NULL},      /* Java: lambda$fetch$0 */
		{"$anonfun$", NULL},    /* Scala: $anonfun$fetch$1 */
		{NULL, "$lambda$"},     /* Kotlin: fetch$lambda$0 */
		{NULL, "$suspendImpl"}, /* Kotlin */
		{NULL, "$default"},     /* Kotlin */
		{NULL, "_aroundBody"},  /* AspectJ */
	};
	for (size_t i = 0; i < COUNT(forms); i++) {
		const char *before = forms[i].before, *behind = forms[i].behind;
		const char *at = behind ? strstr(method, behind) : NULL;
		if (before && strncmp(method, before, strlen(before)) == 0)
			return put_method(out, part_at(method + strlen(before)));
		if (at && at > method)
			return put_method(out, (struct part){method, (size_t)(at - method)});
	}
	return false;
}

/* Is this class the body of a lambda, closure or coroutine, by the method that runs it? */
static bool is_body(const char *class_name, const char *method)
{
	static const char *const runs[] = {"invokeSuspend", "invoke", "apply", "applyOrElse",
	                                   "doCall",        "call",   "emit"};
	const char *last = strrchr(class_name, '$');
	/* Those of Kotlin and Scala are numbered, those of Groovy begin with '_'. */
	if (!last || !(is_digits(last + 1) || last[1] == '_'))
		return false;
	for (size_t i = 0; i < COUNT(runs); i++)
		if (strncmp(method, runs[i], strlen(runs[i])) == 0)
			return true;
	return false;
}

/* "Foo$fetch$1", "Foo$$anonfun$fetch$1", "Foo$_fetch_closure1": class and method around the body. */
static bool put_outer_class(struct sl_out *out, const char *class_name)
{
	const char *at = simple_name(class_name);
	/* Its own classes begin with a capital, as all do. */
	while ((at = strchr(at, '$')) != NULL && (isupper((unsigned char)at[1])))
		at++;
	if (!at)
		return false;
	struct part around = {class_name, (size_t)(at - class_name)};
	struct part method = part_at(at + strspn(at, "$"));
	if (is_part(method, "anonfun"))
		method = part_at(method.at + method.n + (method.at[method.n] == '$'));
	if (method.n > 1 && method.at[0] == '_') {
		const char *closure = strstr(method.at, "_closure");
		if (!closure || closure == method.at)
			return false;
		method = (struct part){method.at + 1, (size_t)(closure - method.at - 1)};
	}
	if (around.n == 0 || method.n == 0 || isdigit((unsigned char)method.at[0]))
		return false;
	sl_out_bytes(out, around.at, around.n);
	sl_out_char(out, '.');
	sl_out_bytes(out, method.at, method.n);
	return true;
}

void sl_source_print(struct sl_out *out, const struct sl_frame *frame)
{
	const char *class_name = frame->class_name ? frame->class_name : "?";
	const char *method = frame->method ? frame->method : "?";
	if (is_body(class_name, method) && put_outer_class(out, class_name))
		return;
	sl_out_text(out, class_name);
	sl_out_char(out, '.');
	if (!put_outer_method(out, method))
		sl_out_text(out, method);
}
