/* See node_text.h. A scalar without quotes keeps its type, and one with them too: "80" is no port.
 */
#include "app/objects/node_text.h"

#include "app/objects/text.h"

enum { YAML_STEP = 2, JSON_STEP = 4 };

static void append_blanks(struct buf *out, size_t n)
{
    while (n-- > 0)
        buf_append_char(out, ' ');
}

static bool node_is_plain(const struct node *node)
{
    int64_t whole;
    double number;
    bool value;

    return node_is_null(node) || node_to_bool(node, &value) || node_to_int(node, &whole) ||
           node_to_double(node, &number);
}

/* ---- YAML ---- */

static bool char_is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '/';
}

static bool char_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What YAML 1.1 or 1.2 takes for something else than text. */
static bool text_is_yaml_word(struct str text)
{
    static const char *const words[] = {"y",   "n",    "yes",   "no",  "on",
                                        "off", "true", "false", "null"};

    for (size_t i = 0; i < N_ELEMENTS(words); i++) {
        if (str_eq_nocase(text, str_of(words[i])))
            return true;
    }
    return false;
}

/* One that begins with a digit is text where it has a letter that no number or time has: "10s". */
static bool text_has_unit(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (char_is_word(text.ptr[i]) && !strchr("abcdefABCDEFxXoTtZz_/", text.ptr[i]))
            return true;
    }
    return false;
}

/* May it stand there without quotes? Sooner no than yes. */
static bool text_is_yaml_plain(struct str text)
{
    if (text.len == 0 || text_is_yaml_word(text) ||
        (!char_is_word(text.ptr[0]) && !(char_is_digit(text.ptr[0]) && text_has_unit(text))))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_inner = i + 1 < text.len && text.ptr[i + 1] != ' ' && c == ':';
        bool is_blank = i + 1 < text.len && text.ptr[i + 1] != '#' && c == ' ';

        if (!char_is_word(c) && !char_is_digit(c) && !is_inner && !is_blank &&
            (c == '\0' || !strchr(".-+*=(),;@$%^~?!'", c)))
            return false;
    }
    return true;
}

/* Lines, for a block: no control characters but line ends, no line that begins or ends in blanks
 * where a reader would have to guess. */
static bool text_is_yaml_block(struct str text)
{
    struct str rest = text;
    struct str line;
    bool is_first = true;

    if (text.len < 2 || str_find_char(text, '\n', 0) < 1)
        return false;
    while (str_split(&rest, '\n', &line)) {
        if (text_has_control(line) || (line.len > 0 && line.ptr[line.len - 1] == ' ') ||
            (is_first && line.ptr[0] == ' '))
            return false;
        is_first = false;
    }
    return true;
}

static void yaml_block(struct buf *out, struct str text, size_t indent)
{
    bool is_ended = text.ptr[text.len - 1] == '\n';
    bool is_kept = is_ended && text.ptr[text.len - 2] == '\n';
    struct str rest = is_ended ? str_slice(text, 0, text.len - 1) : text;
    struct str line;

    buf_printf(out, is_kept ? "|+\n" : is_ended ? "|\n" : "|-\n");
    while (str_split(&rest, '\n', &line)) {
        if (line.len > 0)
            append_blanks(out, indent);
        buf_append_str(out, line);
        buf_append_char(out, '\n');
    }
}

/* `indent`: of the lines of a block. Ends the line. */
static void yaml_scalar(struct buf *out, const struct node *node, size_t indent)
{
    if (node->type == NODE_NULL || node_is_null(node)) {
        buf_printf(out, "null\n");
        return;
    }
    if (text_is_yaml_block(node->text)) {
        yaml_block(out, node->text, indent);
        return;
    }
    if (node_is_plain(node) || text_is_yaml_plain(node->text))
        buf_append_str(out, node->text);
    else
        text_append_quoted(out, node->text);
    buf_append_char(out, '\n');
}

static void yaml_node(struct buf *out, const struct node *node, size_t indent, bool is_inline);

static void yaml_map(struct buf *out, const struct node *node, size_t indent, bool is_inline)
{
    for (size_t i = 0; i < node->n; i++) {
        const struct node_entry *entry = &node->entries[i];
        const struct node *value = entry->value;
        bool is_nested = (value->type == NODE_MAP || value->type == NODE_LIST) && value->n > 0;

        append_blanks(out, is_inline && i == 0 ? 0 : indent);
        if (text_is_yaml_plain(entry->key))
            buf_append_str(out, entry->key);
        else
            text_append_quoted(out, entry->key);
        buf_printf(out, is_nested ? ":\n" : ": ");
        yaml_node(out, value, value->type == NODE_LIST ? indent : indent + YAML_STEP, !is_nested);
    }
}

static void yaml_list(struct buf *out, const struct node *node, size_t indent, bool is_inline)
{
    for (size_t i = 0; i < node->n; i++) {
        append_blanks(out, is_inline && i == 0 ? 0 : indent);
        buf_printf(out, "- ");
        yaml_node(out, node->items[i], indent + YAML_STEP, true);
    }
}

/* `is_inline`: the line has begun. */
static void yaml_node(struct buf *out, const struct node *node, size_t indent, bool is_inline)
{
    if (node->type == NODE_MAP && node->n > 0) {
        yaml_map(out, node, indent, is_inline);
    } else if (node->type == NODE_LIST && node->n > 0) {
        yaml_list(out, node, indent, is_inline);
    } else {
        append_blanks(out, is_inline ? 0 : indent);
        if (node->type == NODE_MAP || node->type == NODE_LIST)
            buf_printf(out, node->type == NODE_MAP ? "{}\n" : "[]\n");
        else
            yaml_scalar(out, node, indent);
    }
}

void node_append_yaml(struct buf *out, const struct node *node, size_t indent)
{
    yaml_node(out, node, indent, false);
}

/* ---- JSON ---- */

static void json_line(struct buf *out, size_t depth)
{
    buf_append_char(out, '\n');
    append_blanks(out, depth * JSON_STEP);
}

/* A number of YAML that JSON would not read is none. */
static bool node_is_json(const struct node *node)
{
    struct str text = node->text;
    size_t first = text.len > 0 && text.ptr[0] == '-' ? 1 : 0;
    bool value;

    if (node->type == NODE_NULL || node_is_null(node) || node_to_bool(node, &value))
        return true;
    if (!node_is_plain(node) || text.len == first || !char_is_digit(text.ptr[first]) ||
        !char_is_digit(text.ptr[text.len - 1]) || str_find(text, STR(".e")) >= 0 ||
        str_find(text, STR(".E")) >= 0)
        return false;
    return text.ptr[first] != '0' || text.len == first + 1 || text.ptr[first + 1] == '.';
}

static void json_scalar(struct buf *out, const struct node *node)
{
    bool value;

    if (!node_is_json(node))
        text_append_quoted(out, node->text);
    else if (node->type == NODE_NULL || node_is_null(node))
        buf_printf(out, "null");
    else if (node_to_bool(node, &value))
        buf_printf(out, value ? "true" : "false");
    else
        buf_append_str(out, node->text);
}

void node_append_json(struct buf *out, const struct node *node, size_t depth)
{
    bool is_map = node->type == NODE_MAP;

    if (!is_map && node->type != NODE_LIST) {
        json_scalar(out, node);
        return;
    }
    buf_append_char(out, is_map ? '{' : '[');
    for (size_t i = 0; i < node->n; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        json_line(out, depth + 1);
        if (is_map) {
            text_append_quoted(out, node->entries[i].key);
            buf_printf(out, ": ");
        }
        node_append_json(out, is_map ? node->entries[i].value : node->items[i], depth + 1);
    }
    if (node->n > 0)
        json_line(out, depth);
    buf_append_char(out, is_map ? '}' : ']');
}
