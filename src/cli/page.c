/* page.c - see page.h. */
#include "cli/page.h"

#define SL_TAKE_IN(symbol, file)                             \
	__asm__(".pushsection .rodata\n"                     \
	        ".global " #symbol "\n"                      \
	        ".hidden " #symbol "\n"                      \
	        ".type " #symbol ", %object\n" #symbol ":\n" \
	        ".incbin \"" file "\"\n"                     \
	        ".byte 0\n"                                  \
	        ".size " #symbol ", . - " #symbol "\n"       \
	        ".popsection\n")

SL_TAKE_IN(sl_page_css, "cli/page.css");
SL_TAKE_IN(sl_page_js, "cli/page.js");
