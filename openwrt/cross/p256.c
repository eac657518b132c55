/* Multiples of the P-256 generator, out of ring's multiples of any point.
 *
 * For the generator alone ring has a table of 148 KiB on 64-bit processors, a tenth of the compressed package, that saves
 * a handshake 0.1 ms or so. The linker calls what stands here in its place (--wrap), and leaves the table out. The time taken
 * does not depend on the scalar, as in ring. */
#include <stdint.h>

#define RING(name) ring_core_0_17_14__##name
#define WRAP_(name) __wrap_##name
#define WRAP(name) WRAP_(name)

void RING(p256_point_mul)(uint64_t r[3][4], const uint64_t scalar[4], const uint64_t x[4], const uint64_t y[4]);

/* SEC 2, 2.4.2: the generator; in Montgomery's form, times 2^256 modulo the prime, the least significant word first. */
static const uint64_t X[4] = {
	0x79e730d418a9143c, 0x75ba95fc5fedb601, 0x79fb732b77622510, 0x18905f76a53755c6
};
static const uint64_t Y[4] = {
	0xddf25357ce95560a, 0x8b4ab8e4ba19e45c, 0xd2e88688dd21f325, 0x8571ff1825885d85
};

void WRAP(RING(p256_point_mul_base))(uint64_t r[3][4], const uint64_t scalar[4])
{
	RING(p256_point_mul)(r, scalar, X, Y);
}

void WRAP(RING(p256_point_mul_base_vartime))(uint64_t r[3][4], const uint64_t scalar[4])
{
	RING(p256_point_mul)(r, scalar, X, Y);
}
