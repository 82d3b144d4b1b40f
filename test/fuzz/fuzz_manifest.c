/* Fuzz target of the whole path of configuration: YAML or JSON bytes through reading, decoding,
 * linking and checking. Beyond not crashing: errors are counted as they are listed, an object with
 * an error is broken or the error names another, and the printed forms end in a newline. */
#include "base/assert.h"
#include "manifest/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct manifest m;
    struct buf out = {0};
    size_t n_listed = 0;
    int code = manifest_load_bytes(&m, "fuzz.yaml", str_make(bytes, size), NULL);

    ASSERT(code == 0 || code == MANIFEST_REFUSED);
    ASSERT((code == MANIFEST_REFUSED) == m.is_refused);
    ASSERT(!m.is_refused || m.diags.n_errors > 0);
    VEC_FOREACH (&m.diags.items, d) {
        n_listed += d->severity == DIAG_ERROR;
        buf_clear(&out);
        diag_format_text(&out, d);
        ASSERT(out.len > 0 && out.ptr[out.len - 1] == '\n');
    }
    ASSERT(n_listed <= m.diags.n_errors);
    VEC_FOREACH (&m.objects, o)
        ASSERT(manifest_get(&m, (*o)->kind->id, (*o)->namespace, (*o)->name) == *o);
    buf_clear(&out);
    diag_format_json(&out, &m.diags);
    diag_format_sarif(&out, &m.diags);
    buf_deinit(&out);
    manifest_deinit(&m);
    return 0;
}
