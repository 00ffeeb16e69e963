/* poison.h - what must not be called on a path that the program or a signal handler can reach.
 *
 * Included last by every file of the preloaded object: the compiler then refuses these names.
 *
 * Layer: base.
 */
#ifndef SL_BASE_POISON_H
#define SL_BASE_POISON_H

#pragma GCC poison malloc calloc realloc reallocarray free strdup strndup
#pragma GCC poison printf fprintf sprintf snprintf vprintf vfprintf vsnprintf puts fputs perror
#pragma GCC poison fopen fread fwrite fgets getline exit abort assert
#pragma GCC poison strtok strerror localtime gmtime ctime setlocale

#endif
