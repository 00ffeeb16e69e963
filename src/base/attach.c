#include "base/attach.h"

#include <stddef.h>

#include "base/poison.h"

const char *sl_attach_words(int result)
{
	static const char *const words[] = {
#define SL_ATTACH(name, words) words,
#include "base/attach.def"
#undef SL_ATTACH
	};
	return result >= 0 && result < SL_ATTACH_RESULTS ? words[result] : NULL;
}
