// What host/src/gpu/cppn.cu takes from CUDA, for a C++ compiler: the kernel's own text then runs on the CPU, a thread after another.
// Compiled with -ffp-contract=off and no options that let arithmetic be changed. tests/gpu/kernel.rs puts this file, the
// kernel and shim.cpp together.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline

struct Place {
    unsigned int x, y;
};
static Place blockIdx, blockDim, threadIdx;

static inline float __uint_as_float(unsigned int bits) {
    float number;
    std::memcpy(&number, &bits, sizeof number);
    return number;
}

static inline unsigned int __float_as_uint(float number) {
    unsigned int bits;
    std::memcpy(&bits, &number, sizeof bits);
    return bits;
}
