/* Build: -no-pie -fno-pie -Wl,-z,now */
/* late_doors_fixed - see late_doors.c. */
#include "late_doors.c"
