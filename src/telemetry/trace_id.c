/* See trace_id.h. Made for each request: no system call, no printf. */
#include "telemetry/trace_id.h"

void trace_id_uuid(struct random *r, char ret_text[TRACE_ID_UUID_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t halves[2] = {random_u64(r), random_u64(r)};
    char *at = ret_text;

    halves[0] = (halves[0] & ~0xf000ULL) | 0x4000;              /* version 4 */
    halves[1] = (halves[1] & ~(0xcULL << 60)) | (0x8ULL << 60); /* variant 10 */
    for (unsigned i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            *at++ = '-';
        *at++ = digits[halves[i / 16] >> (60 - i % 16 * 4) & 0xf];
    }
    *at = '\0';
}
