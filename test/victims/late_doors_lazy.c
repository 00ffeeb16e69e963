/* Build: -Wl,-z,lazy -Wl,-z,norelro */
/* late_doors_lazy - see late_doors.c. */
#include "late_doors.c"
