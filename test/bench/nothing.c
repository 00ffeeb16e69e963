/* Build: -shared -fPIC */
/* nothing - preloaded, it is there: what the loader asks for any object. */
extern int sl_bench_nothing;
int sl_bench_nothing;
