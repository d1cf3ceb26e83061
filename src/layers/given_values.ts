import * as tf from '@tensorflow/tfjs';

/** Gives a variable a value that is on hand, without a second copy. */
export class GivenValues extends tf.serialization.Serializable {
  static className = 'TflGivenValues';

  constructor(private readonly make: () => tf.Tensor) {
    super();
  }

  apply(): tf.Tensor {
    return this.make();
  }

  getConfig(): tf.serialization.ConfigDict {
    return {};
  }
}
