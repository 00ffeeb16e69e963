/* Build: -Wl,-z,now -Wl,-z,relro */
/* late_doors_now - see late_doors.c. */
#include "late_doors.c"
