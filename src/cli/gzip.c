/* gzip.c - see gzip.h. */
#include "cli/gzip.h"

#include <stdlib.h>
#include <zlib.h>

#include "cli/exit.h"
#include "cli/heap.h"
#include "cli/say.h"

#define GZIP_HEADER 16 /* added to the window bits: gzip, not zlib */
#define MEMORY_LEVEL 8 /* zlib's own default */

void sl_gzip_write(FILE *to, const void *bytes, size_t n)
{
	z_stream stream = {0};
	if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + GZIP_HEADER,
	                 MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		exit(sl_say(SL_EXIT_USAGE, "out of memory"));
	/* One step: the bound is what it needs at most. */
	uLong room = deflateBound(&stream, (uLong)n);
	unsigned char *packed = sl_heap_grow(NULL, room);
	stream.next_in = (z_const Bytef *)bytes;
	stream.avail_in = (uInt)n;
	stream.next_out = packed;
	stream.avail_out = (uInt)room;
	(void)deflate(&stream, Z_FINISH);
	(void)fwrite(packed, 1, room - stream.avail_out, to);
	(void)deflateEnd(&stream);
	free(packed);
}
