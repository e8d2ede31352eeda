// The kernels of each case, as write_cases.cpp wrote them out for the host.
#pragma once

#include <vector>

namespace dovetail::warp {

/// The kernel `product`, or `forward` of few channels.
struct ProductLaunch {
  void (*kernel)(const float* source, const float* weight, const float* other,
                 unsigned char* places, float* target, int batch, int finish, const float* norm,
                 int norm_row, float* means, float* deviations) = nullptr;
  int threads = 0, shared_bytes = 0;
};
/// Of few channels, from images.
struct ImagesLaunch {
  void (*kernel)(const unsigned char* images, const int* samples, unsigned first, int gathers,
                 const float* scale, const float* shift, int crop, int flip, int erase,
                 unsigned long seed, unsigned long first_sample, float* x, const float* weight,
                 const float* bias, unsigned char* places, float* target, int batch, int finish,
                 float* means, float* deviations) = nullptr;
};
struct WeightLaunch {
  void (*kernel)(const float* x, const float* dy, const unsigned char* places, float* partial,
                 int batch, int tiles_per_chunk, const float* norm, int norm_row,
                 const float* z) = nullptr;
  int threads = 0, shared_bytes = 0;
};
struct PackLaunch {
  void (*kernel)(const float* weight, float* forward, float* turned) = nullptr;
};
struct Launches {
  ProductLaunch forward, input_gradient;
  WeightLaunch weight_gradient;
  PackLaunch pack;
  ImagesLaunch forward_images;
};

/// One for each of cases().
const std::vector<Launches>& launches();

/// The kernels of a chain of dense layers.
struct DenseLaunches {
  void (*rows)(const unsigned char* pixels, const int* samples, unsigned first_image, int gathers,
               const float* scale, const float* shift, int crop, int flip, int erase,
               unsigned long seed, unsigned long first_sample, float* x, int source,
               const float* parameters, const int* table, const int* labels, unsigned first_label,
               const float* row_weights, int weighed, float* maps, float* row_losses,
               float* row_hits, int batch) = nullptr;
  void (*weight_gradients)(const float* x, const float* maps, const int* table, float* partial,
                           unsigned base, unsigned size, int batch, int share, int together,
                           const float* row_losses, const float* row_hits,
                           float* statistics) = nullptr;
  // Where the first layer is apart.
  void (*first_layer)(const float* x, const float* parameters, const int* table, float* parts,
                      int batch, int depth) = nullptr;
  void (*input_gradient)(const float* maps, const float* parameters, const int* table,
                         const float* x, float* dx, int batch, int mask) = nullptr;
  void (*first_layer_images)(const unsigned char* pixels, const int* samples, unsigned first_image,
                             int gathers, const float* scale, const float* shift, int crop,
                             int flip, int erase, unsigned long seed, unsigned long first_sample,
                             float* x, const float* parameters, const int* table, float* parts,
                             int batch, int depth) = nullptr;
};
/// One for each of dense_cases().
const std::vector<DenseLaunches>& dense_launches();

/// matmul_mma.cl or matmul_async.cl.
using ProductOfLines = void(const float* a, const float* b, float* c, const float* other, int rows,
                            int columns, int depth, int a_pitch, int b_pitch, int split_depth,
                            int finish);
/// The products of dense layers: matmul_wgmma.cl and its packing, matmul_mma.cl.
struct MatmulLaunches {
  void (*pack_rows)(const float* source, unsigned* packed, int rows, int depth) = nullptr;
  void (*pack_columns)(const float* source, unsigned* packed, int rows, int depth) = nullptr;
  void (*wgmma)(const unsigned char* a, const unsigned char* b, float* c, const float* other,
                int rows, int columns, int depth, int passes, int split_blocks,
                int finish) = nullptr;
  ProductOfLines* mma = nullptr;
};
/// In TF32, bfloat16 and float16.
const std::vector<MatmulLaunches>& matmul_launches();

/// matmul_async.cl, in float32.
ProductOfLines* async_product();

}  // namespace dovetail::warp
