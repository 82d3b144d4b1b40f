/* Scores of the three species, made probabilities by softmax.
 *
 * Pure; any thread. The weights stand in iris_model.h, which demo/iris/train.py prints. */
#include "demo/iris.h"

#include <math.h>

#include "demo/iris_model.h"

const char *const iris_species_names[IRIS_SPECIES] = {"setosa", "versicolor", "virginica"};
const char *const iris_feature_names[IRIS_FEATURES] = {"sepal_length_cm", "sepal_width_cm",
                                                       "petal_length_cm", "petal_width_cm"};

double iris_contribution(int species, int feature, double value)
{
    return iris_weights[species][feature] * value;
}

int iris_classify(const double features[IRIS_FEATURES], double ret_probability[IRIS_SPECIES])
{
    double top, sum = 0;
    int best = 0;

    for (int k = 0; k < IRIS_SPECIES; k++) {
        ret_probability[k] = iris_weights[k][IRIS_FEATURES];
        for (int i = 0; i < IRIS_FEATURES; i++)
            ret_probability[k] += iris_contribution(k, i, features[i]);
        if (ret_probability[k] > ret_probability[best])
            best = k;
    }
    /* Relative to the best, so that exp cannot overflow. */
    top = ret_probability[best];
    for (int k = 0; k < IRIS_SPECIES; k++) {
        ret_probability[k] = exp(ret_probability[k] - top);
        sum += ret_probability[k];
    }
    for (int k = 0; k < IRIS_SPECIES; k++)
        ret_probability[k] /= sum;
    return best;
}
