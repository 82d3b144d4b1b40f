/* The iris classifier against Fisher's data. */
#include <stdio.h>
#include <stdlib.h>

#include "demo/iris.h"
#include "demo/model.h"
#include "test/harness/test.h"

static int species_by_name(const char *name)
{
    for (int k = 0; k < IRIS_SPECIES; k++) {
        if (strncmp(name, iris_species_names[k], strlen(iris_species_names[k])) == 0)
            return k;
    }
    return -1;
}

TEST(the_iris_classifier_is_right_on_at_least_95_percent_of_the_data)
{
    FILE *file = fopen(IRIS_CSV, "re");
    char line[256];
    int n = 0;
    int n_right = 0;

    CHECK(file != NULL);
    CHECK(fgets(line, sizeof(line), file) != NULL);
    while (fgets(line, sizeof(line), file)) {
        double features[IRIS_FEATURES];
        double probability[IRIS_SPECIES];
        char *at = line;
        int species;

        for (int i = 0; i < IRIS_FEATURES; i++) {
            features[i] = strtod(at, &at);
            CHECK(*at == ',');
            at++;
        }
        species = species_by_name(at);
        CHECK(species >= 0);
        n_right += iris_classify(features, probability) == species;
        CHECK(probability[0] + probability[1] + probability[2] > 0.999);
        n++;
    }
    (void)fclose(file);
    CHECK_INT(n, 150);
    CHECK(n_right * 100 >= n * 95);
}

TEST(a_flower_of_another_shape_is_refused_with_the_reason)
{
    static const char *const wrong[] = {"[]", "[1,2,3]",      "[1,2,3,4,5]", "[1,2,3,\"4\"]",
                                        "{}", "[1,2,3,1e300]"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        json_t *row = json_loads(wrong[i], 0, NULL);
        char error[256] = "";

        CHECK_MSG(model_iris.predict(row, error, sizeof(error)) == NULL, "%s", wrong[i]);
        CHECK(strstr(error, "sepal_length_cm") != NULL);
        json_decref(row);
    }
}

TEST(stand_ins_say_so)
{
    char *said = model_resnet.speak("hello");

    CHECK(strstr(said, "stand-in") != NULL);
    CHECK(model_resnet.is_stand_in && model_chat.is_stand_in && !model_iris.is_stand_in);
    free(said);
    said = model_iris.speak("Which one is 5.1, 3.5, 1.4 and 0.2?");
    CHECK(strstr(said, "setosa") != NULL);
    free(said);
}
