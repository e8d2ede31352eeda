// The plain twin of kernels/batch_norm.cl.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace dovetail::reference {

/// Mean and biased variance of each channel of x [batch, channels, pixels].
template <typename T>
struct ChannelStatistics {
  std::vector<T> mean;
  std::vector<T> variance;
};

/// The channel of element i of [batch, channels, pixels].
inline std::size_t channel_of(std::size_t i, std::size_t channels, std::size_t pixels) {
  return i / pixels % channels;
}

template <typename T>
ChannelStatistics<T> channel_statistics(const std::vector<T>& x, std::size_t channels,
                                        std::size_t pixels) {
  ChannelStatistics<T> result{std::vector<T>(channels), std::vector<T>(channels)};
  const T count = static_cast<T>(x.size() / channels);
  for (std::size_t i = 0; i < x.size(); ++i)
    result.mean[channel_of(i, channels, pixels)] += x[i] / count;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = channel_of(i, channels, pixels);
    result.variance[c] += (x[i] - result.mean[c]) * (x[i] - result.mean[c]) / count;
  }
  return result;
}

template <typename T>
std::vector<T> batch_norm(const std::vector<T>& x, std::size_t pixels,
                          const ChannelStatistics<T>& statistics, const std::vector<T>& gamma,
                          const std::vector<T>& beta, T epsilon) {
  std::vector<T> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = channel_of(i, gamma.size(), pixels);
    y[i] = (x[i] - statistics.mean[c]) / std::sqrt(statistics.variance[c] + epsilon) * gamma[c] +
           beta[c];
  }
  return y;
}

template <typename T>
struct BatchNormGradients {
  std::vector<T> dx;
  std::vector<T> dgamma;
  std::vector<T> dbeta;
};

/// Through the statistics too: Ioffe and Szegedy, 2015, section 3.
template <typename T>
BatchNormGradients<T> batch_norm_gradients(const std::vector<T>& x, const std::vector<T>& dy,
                                           std::size_t pixels,
                                           const ChannelStatistics<T>& statistics,
                                           const std::vector<T>& gamma, T epsilon) {
  const std::size_t channels = gamma.size();
  const T count = static_cast<T>(x.size() / channels);
  BatchNormGradients<T> result{std::vector<T>(x.size()), std::vector<T>(channels),
                               std::vector<T>(channels)};
  std::vector<T> normalised = batch_norm(x, pixels, statistics, std::vector<T>(channels, T(1)),
                                         std::vector<T>(channels, T(0)), epsilon);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = channel_of(i, channels, pixels);
    result.dbeta[c] += dy[i];
    result.dgamma[c] += dy[i] * normalised[i];
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = channel_of(i, channels, pixels);
    result.dx[i] = gamma[c] / std::sqrt(statistics.variance[c] + epsilon) *
                   (dy[i] - result.dbeta[c] / count - normalised[i] * result.dgamma[c] / count);
  }
  return result;
}

}  // namespace dovetail::reference
