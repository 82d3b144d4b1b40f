/* Made by demo/iris/train.py; do not edit. Weights of a multinomial logistic regression,
 * 147 of 150 flowers of the training data right: one row per species, four
 * measurements in centimetres and the constant. */
#pragma once

static const double iris_weights[3][5] = {
    {1.177715, 2.629154, -3.785510, -1.868083, 1.707636},
    {0.447658, -0.147934, -0.157655, -1.901277, 4.108272},
    {-1.625374, -2.481220, 3.943165, 3.769360, -5.815908},
};
