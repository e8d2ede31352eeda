// Optimiser updates, element by element over an arena of parameters.
//
// With RECORD, `rest` floats lie behind the gradients, and the record of record_sums.cl is made on the way.
#ifdef RECORD
#include "sums_record.clh"
#define RECORDING , uint rest, global uint* restrict record
#define RECORD_REST record_rest(gradients, elements, rest, record);
#define RECORD_GRADIENT(i) \
  if (is_broken(gradients[i])) atomic_min(record + rest, (uint)(i));
#else
#define RECORDING
#define RECORD_REST
#define RECORD_GRADIENT(i)
#endif

// torch.optim.SGD without momentum.
kernel void sgd(global float* restrict parameters, global const float* restrict gradients,
                uint elements, float learning_rate, float weight_decay, float gradient_scale RECORDING) {
  const size_t i = get_global_id(0);
  RECORD_REST
  if (i >= elements) return;
  RECORD_GRADIENT(i)
  const float gradient = gradients[i] * gradient_scale + weight_decay * parameters[i];
  parameters[i] -= learning_rate * gradient;
}

// torch.optim.SGD with momentum, dampening 0.
kernel void sgd_momentum(global float* restrict parameters, global const float* restrict gradients,
                         global float* restrict momentum, uint elements, float learning_rate,
                         float decay, float weight_decay, int nesterov, float gradient_scale RECORDING) {
  const size_t i = get_global_id(0);
  RECORD_REST
  if (i >= elements) return;
  RECORD_GRADIENT(i)
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
                 float shrink, float step_size, float root_scale, float gradient_scale RECORDING) {
  const size_t i = get_global_id(0);
  RECORD_REST
  if (i >= elements) return;
  RECORD_GRADIENT(i)
  const float parameter = parameters[i];
  const float gradient = gradients[i] * gradient_scale + weight_decay * parameter;
  const float first = beta1 * first_moment[i] + (1 - beta1) * gradient;
  const float second = beta2 * second_moment[i] + (1 - beta2) * gradient * gradient;
  first_moment[i] = first;
  second_moment[i] = second;
  parameters[i] = shrink * parameter - step_size * first / (sqrt(second) * root_scale + epsilon);
}
