/* text_habit.h - after how long a peer closes what is idle, in words.
 *
 * Layer: report. No state: pure functions of their arguments. Async-signal-safe.
 */
#ifndef SL_REPORT_TEXT_HABIT_H
#define SL_REPORT_TEXT_HABIT_H

#include "report/snapshot.h"
#include "report/text_line.h"

/* ", which closes after 15.0s idle", ", which closes after 12.0s to 18.5s idle", ", which closes at once after each answer"; nothing
 * where it is not known. */
void sl_text_habit(struct sl_text_line *line, const struct sl_snapshot_peer *peer);
/* " (p50 of 11641)", or nothing. */
void sl_text_habit_count(struct sl_text_line *line, const struct sl_snapshot_peer *peer);

/* It closes behind each answer: two and more were seen, none idle for long. */
bool sl_text_habit_is_at_once(const struct sl_snapshot_peer *peer);

/* The idle time that a pool must stay below; SL_UNKNOWN. */
int64_t sl_text_habit_least_ms(const struct sl_snapshot_peer *peer);

#endif
