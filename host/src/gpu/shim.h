// The parts of CUDA that host/src/gpu/cppn.cu uses, for a C++ compiler: the source of the kernel then runs on the CPU, one thread after
// another. Compiled with -ffp-contract=off and without options that change arithmetic. emulated.rs joins this file, the kernel and
// shim.cpp.

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
