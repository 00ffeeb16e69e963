/* api.c - the functions of include/sockleak.h. */
#include "sockleak.h"

#include "base/process.h"
#include "control/power.h"

#include "base/poison.h"

#pragma GCC visibility push(default)

int sockleak_enable(int on)
{
	return sl_power_switch(on != 0);
}

#pragma GCC visibility pop
