/* The tools of a request, which both formats list alike; how one is spelled, and the choice among
 * them, are the translator's. Owner: the caller's buffer. Pure. */
#include "llm/translate/translator.h"

bool tools_write(const struct reading *r, const json_t *root, tool_fn *write_tool,
                 tool_choice_fn *write_choice, struct writer *w)
{
    static const struct place list = {NULL, "tools", 0};
    const json_t *tools;
    const json_t *tool;
    size_t i;

    if (!reading_get(r, NULL, root, "tools", WANT_ARRAY, &tools))
        return false;
    if (json_array_size(tools) == 0)
        return true;
    writer_member_open(w, "tools", '[');
    json_array_foreach(tools, i, tool)
    {
        struct place at = {&list, NULL, i};

        if (!write_tool(r, &at, tool, w))
            return false;
    }
    writer_close(w, ']');
    return write_choice(r, root, w);
}
