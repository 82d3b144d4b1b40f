/* See trace_id.h. Made for each request: no system call, no printf. */
#include "telemetry/trace_id.h"

#include "base/hex.h"

void trace_id_uuid(struct random *r, char ret_text[TRACE_ID_UUID_BYTES])
{
    uint64_t high = random_u64(r), low = random_u64(r);
    char digits[2 * HEX_U32_BYTES];

    high = (high & ~0xf000ULL) | 0x4000;            /* version 4 */
    low = (low & ~(0xcULL << 60)) | (0x8ULL << 60); /* variant 10 */
    hex_put_u64(digits, high);
    memcpy(ret_text, digits, 8);
    ret_text[8] = '-';
    memcpy(ret_text + 9, digits + 8, 4);
    ret_text[13] = '-';
    memcpy(ret_text + 14, digits + 12, 4);
    ret_text[18] = '-';
    hex_put_u64(digits, low);
    memcpy(ret_text + 19, digits, 4);
    ret_text[23] = '-';
    memcpy(ret_text + 24, digits + 4, 12);
    ret_text[36] = '\0';
}
