// Optimiser updates, element by element over an arena of parameters.
//
// With RECORD, `rest` floats lie behind the gradients, and the record of record_sums.cl is made on the way. With SCALED
// it has been made: gradients are times a loss scale, and where one is broken nothing is updated. A loss scale is [2]:
// the scale, float32, and the steps since it last changed.
#ifdef RECORD
#include "sums_record.clh"
#define BESIDE , uint rest, global uint* restrict record
#define BEGIN record_rest(gradients, elements, rest, record);
#define SEE_GRADIENT(i) \
  if (is_broken(gradients[i])) atomic_min(record + rest, (uint)(i));
#elif defined(SCALED)
#define BESIDE , uint rest, global const uint *restrict record, global const uint *restrict scale
#define BEGIN                           \
  if (record[rest] != UINT_MAX) return; \
  gradient_scale /= as_float(scale[0]);
#define SEE_GRADIENT(i)

// next: what follows from `scale`, as LossScale::after. One work-item; within the updates it would keep CPUs from
// making vectors of them.
kernel void follow_scale(uint rest, global const uint* restrict record, global const uint* restrict scale,
                         global uint* restrict next, float largest, uint patience) {
  float value = as_float(scale[0]);
  uint steps = scale[1] + 1;
  if (record[rest] != UINT_MAX) {
    value /= 2;
    steps = 0;
  } else if (steps == patience) {
    if (value < largest) value *= 2;
    steps = 0;
  }
  next[0] = as_uint(value);
  next[1] = steps;
}
#else
#define BESIDE
#define BEGIN
#define SEE_GRADIENT(i)
#endif

// torch.optim.SGD without momentum.
kernel void sgd(global float* restrict parameters, global const float* restrict gradients,
                uint elements, float learning_rate, float weight_decay, float gradient_scale BESIDE) {
  const size_t i = get_global_id(0);
  BEGIN
  if (i >= elements) return;
  SEE_GRADIENT(i)
  const float gradient = gradients[i] * gradient_scale + weight_decay * parameters[i];
  parameters[i] -= learning_rate * gradient;
}

// torch.optim.SGD with momentum, dampening 0.
kernel void sgd_momentum(global float* restrict parameters, global const float* restrict gradients,
                         global float* restrict momentum, uint elements, float learning_rate,
                         float decay, float weight_decay, int nesterov, float gradient_scale BESIDE) {
  const size_t i = get_global_id(0);
  BEGIN
  if (i >= elements) return;
  SEE_GRADIENT(i)
  const float gradient = gradients[i] * gradient_scale + weight_decay * parameters[i];
  const float velocity = decay * momentum[i] + gradient;
  momentum[i] = velocity;
  parameters[i] -= learning_rate * (nesterov ? gradient + decay * velocity : velocity);
}

// torch.optim.Adam, and AdamW where only `shrink` decays the parameters. The host works out what
// depends on the step: step_size = learning_rate / (1 − beta1^step), root_scale = 1 / sqrt(1 −
// beta2^step), shrink = 1 − learning_rate * decoupled decay.
kernel void adam(global float* restrict parameters, global const float* restrict gradients,
                 global float* restrict first_moment, global float* restrict second_moment,
                 uint elements, float beta1, float beta2, float epsilon, float weight_decay,
                 float shrink, float step_size, float root_scale, float gradient_scale BESIDE) {
  const size_t i = get_global_id(0);
  BEGIN
  if (i >= elements) return;
  SEE_GRADIENT(i)
  const float parameter = parameters[i];
  const float gradient = gradients[i] * gradient_scale + weight_decay * parameter;
  const float first = beta1 * first_moment[i] + (1 - beta1) * gradient;
  const float second = beta2 * second_moment[i] + (1 - beta2) * gradient * gradient;
  first_moment[i] = first;
  second_moment[i] = second;
  parameters[i] = shrink * parameter - step_size * first / (sqrt(second) * root_scale + epsilon);
}
