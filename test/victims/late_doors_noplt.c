/* Build: -fno-plt */
/* late_doors_noplt - see late_doors.c. */
#include "late_doors.c"
