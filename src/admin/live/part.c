/* See part.h. A row that turns out not to fit is taken back. */
#include "admin/live/part.h"

void part_list_open(struct part_list *p, struct json *j, const char *name, size_t max_bytes)
{
    json_open(j, name, '[');
    *p = (struct part_list){.json = j, .max_len = j->out->len + max_bytes};
}

bool part_row_open(struct part_list *p)
{
    if (p->n_left_out > 0) {
        p->n_left_out++;
        return false;
    }
    p->before = *p->json;
    p->before_len = p->json->out->len;
    json_open(p->json, NULL, '{');
    return true;
}

void part_row_close(struct part_list *p)
{
    json_close(p->json, '}');
    if (p->json->out->len <= p->max_len)
        return;
    *p->json = p->before;
    p->json->out->len = p->before_len;
    p->n_left_out++;
}

void part_list_close(struct part_list *p, const char *more_name)
{
    json_close(p->json, ']');
    json_u64(p->json, more_name, p->n_left_out);
}

void part_str(struct json *j, const char *name, struct str value)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    char room[PART_TEXT_BYTES + sizeof ellipsis];
    size_t n = PART_TEXT_BYTES;

    if (value.len <= PART_TEXT_BYTES) {
        json_str(j, name, value);
        return;
    }
    while (n > 0 && ((unsigned char)value.ptr[n] & 0xc0) == 0x80)
        n--;
    memcpy(room, value.ptr, n);
    memcpy(room + n, ellipsis, sizeof ellipsis - 1);
    json_str(j, name, str_make(room, n + sizeof ellipsis - 1));
}
