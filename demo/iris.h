/* The iris classifier: multinomial logistic regression, trained by demo/iris/train.py. */
#pragma once

#define IRIS_FEATURES 4
#define IRIS_SPECIES  3

extern const char *const iris_species_names[IRIS_SPECIES];
extern const char *const iris_feature_names[IRIS_FEATURES];

/* The species of a flower by its measurements in centimetres, and each one's probability. */
int iris_classify(const double features[IRIS_FEATURES], double ret_probability[IRIS_SPECIES]);
/* What one measurement adds to the score of a species. */
double iris_contribution(int species, int feature, double value);
