/* page.h - the style and the script of the HTML page: page.css and page.js, taken in when this is built.
 *
 * Layer: cli. Constant strings.
 */
#ifndef SL_CLI_PAGE_H
#define SL_CLI_PAGE_H

extern const char sl_page_css[]; /* neither holds "</" */
extern const char sl_page_js[];

#endif
