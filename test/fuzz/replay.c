/* Feeds files to a fuzz target without a fuzzer, so that the corpora (and every crash that was ever
 * found) run as ordinary tests with both compilers: `replay FOLDER`. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int replay_file(const char *folder, const char *name)
{
    static uint8_t bytes[1 << 20];
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");

    if (!file) {
        perror(path);
        return 1;
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);

    fclose(file);
    /* Of its own size on the heap, so that a sanitizer sees a read past the end. */
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        return 1;
    for (size_t i = 0; i < size; i++)
        copy[i] = bytes[i];
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    return 0;
}

int main(int argc, char **argv)
{
    int n_failed = 0;
    int n_files = 0;

    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        struct dirent *entry;

        if (!folder) {
            perror(argv[i]);
            return 1;
        }
        while ((entry = readdir(folder))) {
            if (entry->d_name[0] == '.')
                continue;
            n_failed += replay_file(argv[i], entry->d_name);
            n_files++;
        }
        closedir(folder);
    }
    printf("%d files\n", n_files);
    return n_failed > 0 || n_files == 0;
}
