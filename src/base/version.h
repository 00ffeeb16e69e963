/* version.h - the version that reports and the command name.
 *
 * Layer: base.
 */
#ifndef SL_BASE_VERSION_H
#define SL_BASE_VERSION_H

#define SL_VERSION "1.0.0"

#endif
